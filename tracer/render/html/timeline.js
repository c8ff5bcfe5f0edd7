// ---- the timeline: a lane a thread --------------------------------------------------------------
(function () {
  if (data.lanes.length === 0) return;
  const GUTTER = 230, ROW = 26, BAR = 14, AXIS = 28;
  const box = document.getElementById('timeline');
  const detail = document.getElementById('detail');
  const stack = document.getElementById('stack');
  const search = document.getElementById('search');
  const matches = document.getElementById('matches');
  document.getElementById('timeline-section').hidden = false;

  const lanes = data.lanes;
  const rowOf = new Map();
  lanes.forEach((lane, row) => {
    if (!rowOf.has(lane.tid)) rowOf.set(lane.tid, row);
    if (lane.ended === null) rowOf.set(lane.tid, row);  // a tid may come again: the live one
  });
  const whole = {from: data.from, to: data.to + (data.to - data.from) * .01};
  const view = {...whole};
  let selected = 0;     // row
  let chosen = null;    // {row, span: index} or {row, mark: index}
  let words = '';       // what is searched for
  let found = [];       // its matches, by time
  let marked = new Set();  // the same, to look up
  let place = -1;       // in `found`
  let finding = -1;
  let wide = 0;

  // A point in time, so exactly that points `fine` µs apart differ.
  function time(us, fine) {
    const size = Math.abs(us);
    const [unit, name] = size < 1e3 ? [1, 'µs'] : size < 1e6 ? [1e3, 'ms'] : [1e6, 's'];
    const digits = Math.ceil(Math.log10(unit / fine) - 1e-9);
    return `${(us / unit).toFixed(Math.max(0, Math.min(9, digits)))} ${name}`;
  }
  // How long: four digits are enough whatever the unit.
  const length = us => time(us, Math.max(1, 10 ** (Math.floor(Math.log10(Math.max(1, us))) - 3)));
  // In sentences: finer than the axis, which has room for few points.
  const moment = us => time(us, Math.min(1e3, step() / 10));
  const x = us => GUTTER + (us - view.from) / (view.to - view.from) * (wide - GUTTER);
  const at = pixel => view.from + (pixel - GUTTER) / (wide - GUTTER) * (view.to - view.from);

  function step() {
    const rough = (view.to - view.from) / Math.max(2, (wide - GUTTER) / 110);
    const power = 10 ** Math.floor(Math.log10(rough));
    return [1, 2, 5, 10].map(n => n * power).find(n => n >= rough);
  }

  const key = (row, kind, index) => `${row} ${kind} ${index}`;
  const isMatch = (row, kind, index) => marked.has(key(row, kind, index));

  function drawLane(root, lane, row) {
    const y = AXIS + row * ROW;
    const group = svg('g', {
      class: 'lane' + (row === selected ? ' selected' : ''), 'data-tid': lane.tid, 'data-row': row
    }, root);
    const from = Math.max(GUTTER, x(lane.born)), to = Math.min(wide, x(lane.ended ?? whole.to));
    if (to > from) {
      svg('rect', {x: from, y: y + 5, width: to - from, height: BAR + 2, class: 'lane-life'}, group);
    }
    svg('line', {x1: 0, x2: wide, y1: y + ROW - .5, y2: y + ROW - .5, class: 'lane-line'}, group);
    let edge = -1, before = '';
    lane.spans.forEach((span, index) => {
      if (span[1] < view.from || span[0] > view.to) return;
      const left = Math.max(GUTTER, x(span[0])), right = Math.min(wide, x(span[1]));
      const match = words !== '' && isMatch(row, 'span', index);
      const isChosen = chosen && chosen.row === row && chosen.span === index;
      // What would lie on the same pixel in the same colour is drawn once.
      if (right <= edge && span[2] === before && !match && !isChosen) return;
      edge = Math.max(left + .7, right);
      before = span[2];
      const bar = svg('rect', {
        x: left, y: y + 6, width: Math.max(.7, right - left), height: BAR,
        class: `span ${span[2]}${span[4] ? ' open' : ''}${match ? ' match' : ''}` +
            (isChosen ? ' chosen' : ''), 'data-row': row, 'data-span': index
      }, group);
      svg('title', {}, bar, spanText(lane, span));
    });
    lane.marks.forEach((mark, index) => {
      if (mark[0] < view.from || mark[0] > view.to) return;
      const match = words !== '' && isMatch(row, 'mark', index);
      const dot = svg('circle', {
        cx: x(mark[0]), cy: y + 22, r: match ? 4 : 2.6,
        class: `mark ${mark[1]}${match ? ' match' : ''}`, 'data-row': row, 'data-mark': index
      }, group);
      svg('title', {}, dot, markText(lane, mark));
    });
  }

  function drawFindings(root) {
    data.findings.forEach((each, index) => {
      const rows = [...new Set([each.tid, ...each.chain])].map(tid => rowOf.get(tid))
          .filter(row => row !== undefined);
      const from = Math.max(GUTTER, x(each.from)), to = Math.min(wide, x(each.to));
      const look = each.error ? ' error' : '';
      if (to > from) {
        for (const row of rows) svg('rect', {
          x: from, y: AXIS + row * ROW + 3, width: Math.max(2, to - from), height: BAR + 6,
          rx: 3, class: 'found' + look
        }, root);
      }
      const row = rowOf.get(each.tid), flag = Math.max(each.from, Math.min(each.seen, each.to));
      if (row === undefined || x(flag) < GUTTER || x(flag) > wide) return;
      const mark = svg('circle', {
        cx: x(flag), cy: AXIS + row * ROW + 13, r: 8, class: 'found-flag' + look,
        'data-finding': index
      }, root);
      svg('title', {}, mark, each.verdict);
      svg('text', {x: x(flag), y: AXIS + row * ROW + 17, 'text-anchor': 'middle'}, root, '!');
    });
  }

  let drawing = false;
  // Once a frame, however often something changes in it.
  function draw() {
    if (drawing) return;
    drawing = true;
    requestAnimationFrame(() => {
      drawing = false;
      drawNow();
    });
  }
  function drawNow() {
    wide = Math.max(600, box.clientWidth || 1100);
    const tall = AXIS + lanes.length * ROW + 4;
    const root = svg('svg', {
      width: wide, height: tall, viewBox: `0 0 ${wide} ${tall}`,
      class: words === '' ? '' : 'searching'
    });
    const every = step();
    for (let t = Math.ceil(view.from / every) * every; t <= view.to; t += every) {
      svg('line', {x1: x(t), x2: x(t), y1: AXIS - 6, y2: tall, class: 'tick'}, root);
      if (x(t) < wide - 60) svg('text', {x: x(t) + 3, y: 16, class: 'faint'}, root, time(t, every));
    }
    lanes.forEach((lane, row) => drawLane(root, lane, row));
    drawFindings(root);
    // Over the lanes, so that nothing shows behind the names.
    svg('rect', {x: 0, y: 0, width: GUTTER - 4, height: tall, class: 'gutter'}, root);
    lanes.forEach((lane, row) => {
      const group = svg('g', {class: 'lane' + (row === selected ? ' selected' : ''), 'data-row': row}, root);
      const name = `${lane.role}  ${lane.name}`;
      svg('text', {x: 4, y: AXIS + row * ROW + 17, class: 'lane-name'}, group,
          name.length > 26 ? name.slice(0, 25) + '…' : name);
      svg('text', {
        x: GUTTER - 10, y: AXIS + row * ROW + 17, class: 'faint', 'text-anchor': 'end'
      }, group, lane.tid);
    });
    box.replaceChildren(root);
  }

  function spanText(lane, span) {
    const took = length(span[1] - span[0]);
    return `${lane.role} ${span[3]} — ${span[4] ? 'still going after' : 'took'} ${took}` +
        `, since ${moment(span[0])}` +
        (span[5] ? `, ended by ${span[5]}` : '');
  }
  const markText = (lane, mark) => `${lane.role} ${mark[2]} — at ${moment(mark[0])}`;

  function show(from, to) {
    const least = 2, most = whole.to - whole.from;
    const shown = Math.min(most, Math.max(least, to - from));
    view.from = Math.min(Math.max(whole.from, from), whole.to - shown);
    view.to = view.from + shown;
    draw();
  }
  function zoom(factor, around) {
    const middle = around ?? (view.from + view.to) / 2;
    show(middle - (middle - view.from) * factor, middle + (view.to - middle) * factor);
  }
  function pan(part) {
    const by = (view.to - view.from) * part;
    show(view.from + by, view.to + by);
  }
  function seeRow(row) {
    const top = AXIS + row * ROW;
    if (top < box.scrollTop + AXIS) box.scrollTop = top - AXIS;
    if (top + ROW > box.scrollTop + box.clientHeight) box.scrollTop = top + 2 * ROW - box.clientHeight;
  }
  function select(row) {
    selected = Math.max(0, Math.min(lanes.length - 1, row));
    draw();
    seeRow(selected);
  }
  // A sentence, and the stack of the call that it is about.
  function say(text, span) {
    detail.textContent = text;
    const lines = span && span[6] !== undefined ? data.stacks[span[6]] : [];
    stack.replaceChildren(...lines.map(line => {
      const item = document.createElement('li');
      item.textContent = line;
      return item;
    }));
  }
  // What the thread is, and what it was in last.
  function tell(row) {
    const lane = lanes[row], span = lane.spans[lane.spans.length - 1];
    const said = span ? spanText(lane, span).slice(lane.role.length + 1) : 'in no call';
    say(`${lane.role} ${lane.name} (${lane.tid}): ${said}`, span);
  }
  function walk(by) {
    select(selected + by);
    chosen = null;
    tell(selected);
  }
  function see(us) {
    if (us >= view.from && us <= view.to) return;
    const half = (view.to - view.from) / 2;
    show(us - half, us + half);
  }
  function pick(row, kind, index) {
    chosen = {row, [kind]: index};
    const lane = lanes[row];
    const span = kind === 'span' ? lane.spans[index] : null;
    say(span ? spanText(lane, span) : markText(lane, lane.marks[index]), span);
    const [from, to] =
        kind === 'span' ? lane.spans[index] : [lane.marks[index][0], lane.marks[index][0]];
    if (to < view.from || from > view.to) see(from);
    select(row);
  }
  function neighbour(by) {
    const spans = lanes[selected].spans;
    if (spans.length === 0) return;
    let index;
    if (chosen && chosen.row === selected && chosen.span !== undefined) {
      index = chosen.span + by;
    } else {
      index = spans.findIndex(span => span[1] >= view.from);
      if (index < 0) index = spans.length - 1;
    }
    pick(selected, 'span', Math.max(0, Math.min(spans.length - 1, index)));
  }
  function toFinding(index) {
    if (data.findings.length === 0) return;
    finding = (index + data.findings.length) % data.findings.length;
    const each = data.findings[finding];
    const margin = Math.max(20, (each.to - each.from) * .15);
    show(each.from - margin, each.to + margin);
    say(each.verdict);
    const row = rowOf.get(each.tid);
    if (row !== undefined) select(row);
  }

  function lookFor(text) {
    words = text.trim().toLowerCase();
    found = [];
    place = -1;
    if (words !== '') {
      lanes.forEach((lane, row) => {
        lane.spans.forEach((span, index) => {
          if (`${lane.role} ${lane.name} ${span[3]}`.toLowerCase().includes(words)) {
            found.push({row, kind: 'span', index, at: span[0]});
          }
        });
        lane.marks.forEach((mark, index) => {
          if (`${lane.role} ${lane.name} ${mark[2]}`.toLowerCase().includes(words)) {
            found.push({row, kind: 'mark', index, at: mark[0]});
          }
        });
      });
      found.sort((a, b) => a.at - b.at);
    }
    marked = new Set(found.map(each => key(each.row, each.kind, each.index)));
    matches.textContent = words === '' ? '' : `${found.length} found`;
    draw();
  }
  function toMatch(by) {
    if (found.length === 0) return;
    place = place < 0 ? (by > 0 ? 0 : found.length - 1)
                      : (place + by + found.length) % found.length;
    const match = found[place];
    pick(match.row, match.kind, match.index);
    matches.textContent = `${place + 1} of ${found.length}`;
  }

  const actions = {
    in: () => zoom(.5), out: () => zoom(2), fit: () => show(whole.from, whole.to),
    finding: () => toFinding(finding + 1),
    help: () => { const keys = document.getElementById('keys'); keys.hidden = !keys.hidden; }
  };
  for (const button of document.querySelectorAll('[data-do]')) {
    button.addEventListener('click', () => actions[button.dataset.do]());
  }
  search.addEventListener('input', () => lookFor(search.value));
  search.addEventListener('keydown', event => {
    if (event.key === 'Enter') toMatch(event.shiftKey ? -1 : 1);
    if (event.key === 'Escape') {
      search.value = '';
      lookFor('');
      box.focus();
    }
    event.stopPropagation();
  });

  const keys = {
    ArrowLeft: () => pan(-.2), ArrowRight: () => pan(.2), ArrowUp: () => walk(-1),
    ArrowDown: () => walk(1), '+': actions.in, '=': actions.in, '-': actions.out,
    '0': actions.fit, f: actions.finding, n: () => toMatch(1), N: () => toMatch(-1),
    '[': () => neighbour(-1), ']': () => neighbour(1), '?': actions.help, '/': () => search.focus(),
    Escape: () => { chosen = null; say(''); lookFor(search.value = ''); }
  };
  document.addEventListener('keydown', event => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const inside = box.contains(event.target) || event.target === document.body;
    const moves = event.key.startsWith('Arrow') || event.key === 'Escape';
    // Keys that scroll belong to the timeline only while it has the focus.
    if (!keys[event.key] || (moves ? !box.contains(event.target) : !inside)) return;
    event.preventDefault();
    keys[event.key]();
  });

  let drag = null;
  box.addEventListener('pointerdown', event => {
    if (event.button !== 0) return;
    drag = {x: event.clientX, from: view.from, to: view.to, moved: false};
  });
  window.addEventListener('pointermove', event => {
    if (!drag) return;
    const by = (event.clientX - drag.x) / (wide - GUTTER) * (drag.to - drag.from);
    if (!drag.moved && Math.abs(event.clientX - drag.x) < 4) return;
    drag.moved = true;
    box.classList.add('moving');
    show(drag.from - by, drag.to - by);
  });
  window.addEventListener('pointerup', event => {
    const done = drag;
    drag = null;
    box.classList.remove('moving');
    if (!done || done.moved || !(event.target instanceof Element)) return;
    const {row, span, mark, finding: flag} = event.target.dataset;
    if (flag !== undefined) toFinding(Number(flag));
    else if (span !== undefined) pick(Number(row), 'span', Number(span));
    else if (mark !== undefined) pick(Number(row), 'mark', Number(mark));
    else if (event.target.closest('[data-row]')) select(Number(event.target.closest('[data-row]').dataset.row));
  });
  // The browser has taken the pointer over, to scroll: no click comes of it.
  window.addEventListener('pointercancel', () => {
    drag = null;
    box.classList.remove('moving');
  });
  box.addEventListener('wheel', event => {
    if (!event.ctrlKey) return;
    event.preventDefault();
    zoom(event.deltaY > 0 ? 1.25 : .8, at(event.clientX - box.getBoundingClientRect().left));
  }, {passive: false});

  listeners.push((tid, origin) => {
    const row = rowOf.get(tid);
    if (row === undefined) return;
    select(row);
    if (origin !== 'timeline') document.getElementById('timeline-section').scrollIntoView({block: 'nearest'});
  });
  for (const article of document.querySelectorAll('.finding')) {
    article.addEventListener('keydown', event => {
      if (event.target !== article || event.key !== 'Enter') return;
      toFinding(Number(article.id.replace('finding-', '')));
      document.getElementById('timeline-section').scrollIntoView({block: 'nearest'});
      box.focus();
    });
  }

  const gone = data.left_out;
  const notes = [];
  if (gone.spans) notes.push(`${gone.spans} short calls`);
  if (gone.stacks) notes.push(`the stacks of ${gone.stacks} calls`);
  if (gone.marks) notes.push(`${gone.marks} marks`);
  if (gone.lanes) notes.push(`${gone.lanes} threads`);
  if (notes.length) document.getElementById('left-out').textContent = 'Left out: ' + notes.join(', ');

  window.addEventListener('resize', draw);
  drawNow();
  window.addEventListener('beforeprint', () => {
    document.querySelectorAll('details').forEach(each => { each.open = true; });
  });
})();
