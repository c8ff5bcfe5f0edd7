// first source of this layer
