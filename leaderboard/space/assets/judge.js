// The reading view. gradio runs this once, with `element`, `props` and `watch`; `props.value` is a study of
// views/reading.py. Texts from outside become text nodes only. Answers stay in this browser: localStorage holds them
// for each annotator, and a file that the browser saves takes them to the organiser. The server gets none.
const KEY = 'detox-judge';
const root = () => element.querySelector('.judge');
let study = null;
let annotator = null; // {code, id, answers: {"token question": [answer, time, shown]}}
let order = [];
let at = 0;
let asked = 0;

function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) made.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null) made.setAttribute(name, value === true ? '' : value);
  }
  made.append(...children);
  return made;
}

// -- what is kept in the browser
function stored(name) {
  try {
    const value = JSON.parse(localStorage.getItem(`${KEY} ${name}`) ?? '{}');
    return value && typeof value === 'object' ? value : {};
  } catch { return {}; }
}
function store(name, value) {
  try { localStorage.setItem(`${KEY} ${name}`, JSON.stringify(value)); return true; } catch { return false; }
}
const answersName = (id) => `answers ${study.study} ${study.version} ${id}`;
function randomId() {
  return [...crypto.getRandomValues(new Uint8Array(8))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

// -- the order in which one annotator reads: their id seeds it, so that it is the same after a break
function random(seed) {
  let state = [...seed].reduce((sum, letter) => Math.imul(sum ^ letter.charCodeAt(0), 16777619), 2166136261);
  return () => {
    state = (state + 0x6D2B79F5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
function shuffled(id) {
  const next = random(`${study.study} ${id}`);
  const keyed = study.items.map((item) => [item[1], next(), item, next() < 0.5]);
  keyed.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  return keyed.map(([, , [token, , source, ...outputs], turn]) => {
    if (outputs.length < 2 || !turn) return { token, shown: token, source, outputs };
    const [sentence, first, second] = token.split('.');
    return { token, shown: `${sentence}.${second}.${first}`, source, outputs: outputs.toReversed() };
  });
}
const answerTo = (item, question) => annotator.answers[`${item.token} ${question.name}`];
const isDone = (item) => study.questions.every((question) => answerTo(item, question));
const countDone = () => order.filter(isDone).length;

// -- screens
function show(...children) { root().replaceChildren(...children); }

function start() {
  annotator = null;
  if (!study || study.problem) {
    show(make('p', { role: 'status' }, study?.problem ? `Nothing to read: ${study.problem}.` : 'Choose a study.'));
    return;
  }
  const codes = stored('annotators');
  const code = make('input', { type: 'text', maxlength: '40', autocomplete: 'off', list: 'judge-codes', class: 'code-name' });
  code.value = Object.keys(codes)[0] ?? 'me';
  const file = make('input', { type: 'file', accept: '.json,application/json', onchange: (event) => resume(event.target.files[0]) });
  const status = make('p', { class: 'judge-status', role: 'status' });
  const trial = 'This is a trial with the first systems of the leaderboard; its answers are not collected. To make a study: ';
  const command = make('code', {}, 'python -m leaderboard.judgements study NAME');
  show(
    make('h2', {}, study.title),
    make('p', {}, `${study.items.length.toLocaleString('en')} ${study.form === 'pairs' ? 'pairs of rewrites' : 'rewrites'}. `
      + 'The texts are offensive, and no word is hidden. You do not learn which system wrote what. '
      + 'Your answers stay in this browser until you save them as a file; nothing is sent.'),
    ...(study.trial ? [make('p', {}, trial, command)] : []),
    make('label', {}, 'Your name or a nickname, to continue later. It does not leave this browser. ', code),
    make('datalist', { id: 'judge-codes' }, ...Object.keys(codes).map((name) => make('option', { value: name }))),
    make('p', {}, make('button', { type: 'button', class: 'judge-start', onclick: () => begin(code.value.trim() || 'me') }, 'Start or continue')),
    make('label', {}, 'Continue on this computer from a saved file: ', file), status,
    guidelines(false),
  );
}

function begin(code, id = null) {
  const codes = stored('annotators');
  codes[code] = id ?? (/^[0-9a-f]{16}$/.test(codes[code] ?? '') ? codes[code] : randomId());
  store('annotators', codes);
  annotator = { code, id: codes[code], answers: stored(answersName(codes[code])) };
  order = shuffled(annotator.id);
  const open = order.findIndex((item) => !isDone(item));
  at = open < 0 ? order.length : open;
  asked = firstOpen();
  draw();
}

async function resume(file) {
  const status = element.querySelector('.judge-status');
  try {
    const saved = JSON.parse(await file.text());
    if (saved.study !== study.study || saved.guidelines !== study.version || !/^[0-9a-f]{16}$/.test(saved.annotator)) {
      throw new Error('it belongs to another study, or to other guidelines');
    }
    const answers = stored(answersName(saved.annotator));
    const tokens = new Map(study.items.flatMap(([token]) => {
      const [sentence, ...runs] = token.split('.');
      return [[token, token], [[sentence, ...runs.toReversed()].join('.'), token]];
    }));
    for (const { item, question, answer, time } of saved.answers) {
      const known = study.questions.find(({ name, answers: given }) => name === question && given.some(([a]) => a === answer));
      const key = `${tokens.get(item)} ${question}`;
      if (known && tokens.has(item) && !Number.isNaN(Date.parse(time)) && !(answers[key]?.[1] > time)) answers[key] = [answer, time, item];
    }
    store(answersName(saved.annotator), answers);
    begin(element.querySelector('.code-name').value.trim() || 'me', saved.annotator);
  } catch (error) { status.textContent = `This file was not read: ${error.message}`; }
}

const firstOpen = () => (at < order.length ? Math.max(0, study.questions.findIndex((question) => !answerTo(order[at], question))) : 0);

function answer(place) {
  const question = study.questions[asked];
  const given = question?.answers[place];
  if (!given || at >= order.length) return;
  const item = order[at];
  annotator.answers[`${item.token} ${question.name}`] = [given[0], new Date().toISOString(), item.shown];
  const kept = store(answersName(annotator.id), annotator.answers);
  if (asked + 1 < study.questions.length) asked += 1;
  else { at += 1; asked = 0; }
  draw(kept ? '' : 'The browser keeps no more answers: save them as a file now.');
}
function move(step) {
  at = Math.min(Math.max(at + step, 0), order.length);
  asked = 0;
  draw();
}

function draw(warning = '') {
  const done = countDone();
  const progress = make('div', { class: 'judge-progress' },
    make('progress', { max: String(order.length), value: String(done), 'aria-label': 'Judged' }),
    make('span', { class: 'judge-count' }, `${done.toLocaleString('en')} of ${order.length.toLocaleString('en')} judged`));
  const card = at < order.length ? itemCard(order[at]) : lastCard(done);
  const bar = make('div', { class: 'judge-bar' },
    make('button', { type: 'button', class: 'plain', disabled: at === 0, onclick: () => move(-1) }, '← Back'),
    make('button', { type: 'button', class: 'plain', disabled: at >= order.length, onclick: () => move(1) }, 'Skip →'),
    make('button', { type: 'button', class: 'plain judge-save', disabled: !Object.keys(annotator.answers).length, onclick: save }, 'Save my answers as a file'),
    make('button', { type: 'button', class: 'plain', onclick: start }, 'Another reader or study'));
  const keys = 'Keys: 1, 2 and 3 answer, ← goes back, → skips; they work while the frame around the texts is highlighted.';
  show(make('h2', {}, study.title), progress,
    make('div', { class: 'judge-columns' }, make('div', {}, card, bar, make('p', { class: 'source' }, keys),
      make('p', { class: 'source' }, `You are ${annotator.code}, in files ${annotator.id}. ${warning}`)), guidelines(true)));
  card.focus({ preventScroll: true });
  card.scrollIntoView({ block: 'nearest' });
}

function itemCard(item) {
  const text = (title, content) => make('div', { class: 'judge-text' }, make('h3', {}, title), make('p', { dir: 'auto', lang: study.lang }, content));
  const names = item.outputs.length > 1 ? ['First rewrite', 'Second rewrite'] : ['Rewrite'];
  const questions = study.questions.map((question, number) => {
    const given = answerTo(item, question)?.[0];
    const turned = question.answers.map(([name, label], place) => make('button', {
      type: 'button', class: 'judge-answer', 'aria-pressed': String(given === shownAnswer(item, question, name)),
      onclick: () => { asked = number; answer(place); },
    }, make('kbd', {}, String(place + 1)), ` ${label}`));
    return make('div', { role: 'group', class: number === asked ? 'judge-question asked' : 'judge-question', 'aria-label': question.text },
      make('p', {}, question.text), make('div', { class: 'judge-answers' }, ...turned));
  });
  return make('section', { class: 'judge-card', tabindex: '0', 'aria-label': `${at + 1} of ${order.length}. ${study.questions[asked].text}`, onkeydown: onKey },
    text('Source', item.source), make('div', { class: 'judge-pair' }, ...item.outputs.map((output, i) => text(names[i], output || '(nothing)'))), ...questions);
}
// An answer from a file may have been given with the pair the other way round.
function shownAnswer(item, question, name) {
  const shown = answerTo(item, question)?.[2] ?? item.shown;
  if (shown === item.shown || name === 'equal' || question.name !== 'better') return name;
  return name === 'first' ? 'second' : 'first';
}

function lastCard(done) {
  const left = order.length - done;
  const text = left ? `${left.toLocaleString('en')} were skipped.` : 'You have judged everything. Thank you.';
  const open = order.findIndex((item) => !isDone(item));
  const again = left ? [make('button', { type: 'button', class: 'plain', onclick: () => { at = open; asked = firstOpen(); draw(); } }, 'Read what was skipped')] : [];
  const send = study.trial ? '' : ' Save your answers as a file, and send it to whoever asked you.';
  return make('section', { class: 'judge-card', tabindex: '0', 'aria-label': text, onkeydown: onKey }, make('p', {}, text + send), ...again);
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const place = ['1', '2', '3'].indexOf(event.key);
  if (place >= 0) answer(place);
  else if (event.key === 'ArrowLeft') move(-1);
  else if (event.key === 'ArrowRight') move(1);
  else return;
  event.preventDefault();
}

function guidelines(open) {
  return make('details', { class: 'judge-guidelines', open, tabindex: '0' }, make('summary', {}, `Guidelines, version ${study.version}`),
    ...study.guidelines.filter((line) => line.trim()).map((line) => make('p', { dir: 'auto', class: line.endsWith('?') ? 'head' : null }, line)));
}

function save() {
  const answers = Object.entries(annotator.answers).map(([key, [given, time, shown]]) => (
    { item: shown, question: key.split(' ')[1], answer: given, time }));
  const content = { schema_version: 1, study: study.study, guidelines: study.version, annotator: annotator.id, answers };
  const link = make('a', { download: `${study.study}-${annotator.id}.json` });
  link.href = URL.createObjectURL(new Blob([JSON.stringify(content, null, 1)], { type: 'application/json' }));
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

function load() { study = props.value; start(); }
watch('value', load);
load();
