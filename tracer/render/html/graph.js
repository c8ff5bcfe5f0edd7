'use strict';
const data = JSON.parse(document.getElementById('data').textContent);
const listeners = [];  // called with (tid, origin) when a thread is chosen anywhere on the page

function choose(tid, origin) {
  for (const each of listeners) each(tid, origin);
}

function svg(name, attributes, parent, text) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const key in attributes) element.setAttribute(key, attributes[key]);
  if (text !== undefined) element.textContent = text;
  if (parent) parent.append(element);
  return element;
}

// Breaks text at blanks into at most `most` lines of about `columns` characters.
function lines(text, columns, most) {
  const out = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line && line.length + word.length + 1 > columns) {
      out.push(line);
      line = word;
    } else {
      line = line ? line + ' ' + word : word;
    }
  }
  if (line) out.push(line);
  const cut = out.length > most;
  return out.slice(0, most).map((each, index) => {
    const long = each.length > columns + 4;
    const short = long ? each.slice(0, columns + 3) : each;
    return long || (cut && index === most - 1) ? short + '…' : short;
  });
}

// ---- the wait-for graph: ranks from left to right, who is waited for to the right ---------------
(function () {
  const graph = data.graph;
  if (graph.nodes.length === 0) return;
  const WIDTH = 270, GAP_X = 190, GAP_Y = 34, LINE = 16, PAD = 9, LANE = 26;
  const nodes = new Map(graph.nodes.map(node => [node.tid, {...node, out: [], exits: []}]));
  for (const edge of graph.edges) nodes.get(edge.from).out.push(edge);
  for (const exit of graph.exits) nodes.get(exit.from).exits.push(exit.text);

  // A walk from the chain's beginning; what leads back to a node on the way is a back edge.
  const rank = new Map();
  const order = [...new Set(data.findings.flatMap(f => f.chain).filter(tid => nodes.has(tid)))];
  order.push(...nodes.keys());
  function walk(tid, depth, way) {
    if (way.has(tid) || (rank.has(tid) && rank.get(tid) >= depth)) return;
    rank.set(tid, depth);
    way.add(tid);
    const out = [...nodes.get(tid).out].sort((a, b) => Number(b.cycle) - Number(a.cycle));
    for (const edge of out) {
      if (edge.cycle || !rank.has(edge.to)) walk(edge.to, depth + 1, way);
    }
    way.delete(tid);
  }
  for (const tid of order) if (!rank.has(tid)) walk(tid, 0, new Set());

  // Arrows that would cross other threads go over the top or below everything, each in its lane.
  const over = graph.edges.filter(e => rank.get(e.to) - rank.get(e.from) > 1);
  const TOP = 14 + over.length * LANE;

  const columns = [];
  for (const [tid, column] of rank) (columns[column] ||= []).push(nodes.get(tid));
  for (const node of nodes.values()) {
    node.text = [
      ['bold', lines(node.process, 30, 1)], ['', lines(node.name, 34, 1)],
      ['faint', lines(node.what, 38, 4)]
    ].flatMap(([look, rows]) => rows.map(row => [look, row]));
    node.height = node.text.length * LINE + 2 * PAD;
    node.full = node.height + (node.exits.length ? node.exits.length * 24 + 6 : 0);
  }
  const heights = columns.map(
    column => (column || []).reduce((sum, node) => sum + node.full + GAP_Y, -GAP_Y));
  const tall = Math.max(...heights);
  columns.forEach((column, x) => {
    let y = TOP + (tall - heights[x]) / 2;
    for (const node of column || []) {
      node.x = 10 + x * (WIDTH + GAP_X);
      node.y = y;
      y += node.full + GAP_Y;
    }
  });

  const back = graph.edges.filter(e => rank.get(e.to) <= rank.get(e.from));
  const width = 20 + columns.length * (WIDTH + GAP_X) - GAP_X + 30;
  const height = TOP + tall + 30 + back.length * LANE;
  const root = svg('svg', {
    width, height, viewBox: `0 0 ${width} ${height}`, role: 'group',
    'aria-label': 'wait-for graph'
  });
  const defs = svg('defs', {}, root);
  for (const look of ['', 'cycle']) {
    const marker = svg('marker', {
      id: 'arrow' + look, viewBox: '0 0 10 10', refX: 9, refY: 5, markerWidth: 9, markerHeight: 9,
      markerUnits: 'userSpaceOnUse', orient: 'auto'
    }, defs);
    svg('path', {d: 'M0 0L10 5L0 10z', class: 'arrow ' + look}, marker);
  }

  let upper = 0, lower = 0;
  const labels = [];
  for (const edge of [...graph.edges].sort((a, b) => Number(a.cycle) - Number(b.cycle))) {
    const from = nodes.get(edge.from), to = nodes.get(edge.to);
    const look = edge.cycle ? 'cycle' : '';
    const group = svg('g', {class: 'edge ' + look}, root);
    svg('title', {}, group, `${from.name} waits for ${to.name}: ${edge.why}`);
    let path, middle;
    const step = rank.get(edge.to) - rank.get(edge.from);
    if (step === 1) {
      const x1 = from.x + WIDTH, y1 = from.y + from.height / 2, x2 = to.x,
            y2 = to.y + to.height / 2;
      const bend = (x2 - x1) / 2;
      path = `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`;
      middle = [(x1 + x2) / 2, Math.min(y1, y2)];
    } else {
      const above = step > 1;
      const level = above ? LANE * ++upper - 6 : TOP + tall + 14 + LANE * lower++;
      const x1 = from.x + WIDTH * (above ? .7 : .6), x2 = to.x + WIDTH * (above ? .3 : .4);
      const y1 = above ? from.y : from.y + from.full, y2 = above ? to.y - 2 : to.y + to.full + 2;
      const turn = x2 > x1 ? 40 : -40;
      path = `M${x1} ${y1}C${x1} ${level} ${x1} ${level} ${x1 + turn} ${level}` +
          `L${x2 - turn} ${level}C${x2} ${level} ${x2} ${level} ${x2} ${y2}`;
      // To itself, or to a neighbour in the same column.
      if (Math.abs(x2 - x1) < 80) {
        path = `M${x1} ${y1}C${x1} ${level + 10} ${x2} ${level + 10} ${x2} ${y2}`;
      }
      middle = [(x1 + x2) / 2, level];
    }
    svg('path', {d: path, 'marker-end': `url(#arrow${look})`}, group);
    if (edge.why && (edge.cycle || graph.edges.length <= 12)) labels.push([edge, middle, look, step !== 1]);
  }
  for (const [edge, middle, look, wide] of labels) {
    const group = svg('g', {class: 'edge ' + look}, root);
    const why = edge.why.replaceAll('(fd ', '(fd\u00a0');
    const rows = lines(why, wide ? 90 : 26, wide ? 1 : 3);
    rows.forEach((row, index) => svg('text', {
      x: middle[0], y: middle[1] - 6 - (rows.length - 1 - index) * 13, 'text-anchor': 'middle'
    }, group, row));
  }
  for (const node of nodes.values()) {
    const look = node.cycle ? 'cycle' : node.stuck ? 'stuck' : '';
    const group = svg('g', {
      class: 'node ' + look, tabindex: 0, role: 'button', 'data-tid': node.tid,
      'aria-label': `${node.process}, ${node.name}: ${node.what}`
    }, root);
    svg('title', {}, group, `${node.process}, ${node.name}: ${node.what}`);
    svg('rect', {x: node.x, y: node.y, width: WIDTH, height: node.height, rx: 7}, group);
    node.text.forEach(([style, text], index) => svg(
      'text', {x: node.x + PAD, y: node.y + PAD + 12 + index * LINE, class: style}, group, text));
    node.exits.forEach((text, index) => {
      const y = node.y + node.height + 6 + index * 24;
      const exit = svg('g', {class: 'exit'}, group);
      svg('rect', {x: node.x + 12, y, width: WIDTH - 24, height: 20, rx: 10}, exit);
      svg('text', {x: node.x + WIDTH / 2, y: y + 14, 'text-anchor': 'middle'}, exit,
          'or: ' + text);
    });
    group.addEventListener('click', () => choose(node.tid, 'graph'));
    group.addEventListener('keydown', event => {
      if (event.key === 'Enter' || event.key === ' ') {
        event.preventDefault();
        choose(node.tid, 'graph');
      }
    });
  }
  document.getElementById('graph').append(root);
  if (graph.left_out) {
    const note = document.createElement('p');
    note.className = 'legend';
    note.textContent = `${graph.left_out} more threads are left out`;
    document.getElementById('graph').append(note);
  }
  document.getElementById('graph-section').hidden = false;
})();
