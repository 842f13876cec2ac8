// The reading view. gradio runs this once, with `element`, `props` and `watch`; `props.value` is a study of
// views/reading.py. Texts from outside become text nodes only. localStorage holds the answers of each annotator. Where
// `study.stores`, the server gets them too (tabs/judge.py); elsewhere it gets none, and a file that the browser saves
// takes them to the organiser.
const KEY = 'detox-judge';
const root = () => element.querySelector('.judge');
let study = null;
let annotator = null; // {code, id, answers: {"token question": [answer, time, shown]}}
let order = [];
let at = 0;
let asked = 0;
// Where the server stores answers: the times of those that it has, by "token question"; those on their way; what the
// reader is told about it; answers from a file that is read before the server has told the reader's id.
let kept = {};
let sent = null;
let storage = '';
let fromFile = [];

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
const hex = (bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
const randomHex = (length) => hex(crypto.getRandomValues(new Uint8Array(length)));
// A hash of the name with a salt that never leaves this browser.
async function idOf(code) {
  // Browsers hash on https and localhost only; elsewhere a random id tells as little.
  if (!crypto.subtle) return randomHex(8);
  const { salt = randomHex(32) } = stored('salt');
  store('salt', { salt });
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(`${salt} ${code}`));
  return hex(new Uint8Array(digest).slice(0, 8));
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
  storage = '';
  if (!study || study.problem) {
    show(make('p', { role: 'status' }, study?.problem ? `Nothing to read: ${study.problem}.` : 'Choose a study.'));
    return;
  }
  const codes = stored('annotators');
  const code = make('input', { type: 'text', maxlength: '40', autocomplete: 'off', list: 'judge-codes', class: 'code-name' });
  code.value = Object.keys(codes)[0] ?? 'me';
  const file = make('input', { type: 'file', accept: '.json,application/json', onchange: (event) => resume(event.target.files[0]) });
  const status = make('p', { class: 'judge-status', role: 'status' });
  const [where, whose] = study.stores
    ? ['Your answers are stored in the folder of this leaderboard while you read.', 'to continue later, in any browser. A hash of it is stored, not the name. ']
    : ['Your answers stay in this browser until you save them as a file; nothing is sent.', 'to continue later. It does not leave this browser. '];
  const trial = 'This is a trial with the first systems of the leaderboard; its answers are not collected. To make a study: ';
  const command = make('code', {}, 'python -m leaderboard.judgements study NAME');
  show(
    make('h2', {}, study.title),
    make('p', {}, `${study.items.length.toLocaleString('en')} ${study.form === 'pairs' ? 'pairs of rewrites' : 'rewrites'}. `
      + 'The texts are offensive, and no word is hidden. You do not learn which system wrote what. '
      + where),
    ...(study.trial ? [make('p', {}, trial, command)] : []),
    make('label', {}, `Your name or a nickname, ${whose}`, code),
    make('datalist', { id: 'judge-codes' }, ...Object.keys(codes).map((name) => make('option', { value: name }))),
    make('p', {}, make('button', { type: 'button', class: 'judge-start', onclick: () => begin(code.value.trim() || 'me') }, 'Start or continue')),
    make('label', {}, 'Continue on this computer from a saved file: ', file), status,
    guidelines(false),
  );
}

async function begin(code, id = null) {
  if (study.stores && !id) {
    sent = { code };
    trigger('enter', { value: { study: study.study, name: code } });
    return;
  }
  const codes = stored('annotators');
  codes[code] = id ?? (/^[0-9a-f]{16}$/.test(codes[code] ?? '') ? codes[code] : await idOf(code));
  store('annotators', codes);
  annotator = { code, id: codes[code], answers: stored(answersName(codes[code])) };
  order = shuffled(annotator.id);
  const open = order.findIndex((item) => !isDone(item));
  at = open < 0 ? order.length : open;
  asked = firstOpen();
  draw();
}

// Adds answers of a file to those that a reader has; of two to one question the later one counts.
function merge(answers, added) {
  const tokens = new Map(study.items.flatMap(([token]) => {
    const [sentence, ...runs] = token.split('.');
    return [[token, token], [[sentence, ...runs.toReversed()].join('.'), token]];
  }));
  for (const { item, question, answer, time } of added) {
    const known = study.questions.find(({ name, answers: given }) => name === question && given.some(([a]) => a === answer));
    const key = `${tokens.get(item)} ${question}`;
    if (known && tokens.has(item) && !Number.isNaN(Date.parse(time)) && !(answers[key]?.[1] > time)) answers[key] = [answer, time, item];
  }
  return answers;
}

// -- what the server stores
function send() {
  if (!study.stores || sent) return;
  const open = Object.entries(annotator.answers).filter(([key, [, time]]) => kept[key] !== time).slice(0, 100);
  if (!open.length) return;
  sent = { id: annotator.id, open };
  trigger('store', { value: { name: annotator.code, document: content(open) } });
}
function replied({ problem, annotator: id, answers }) {
  const { code, open } = sent ?? {};
  const own = sent?.id === annotator?.id;
  sent = null;
  if (code !== undefined) {
    if (problem) element.querySelector('.judge-status').textContent = `Not begun: ${problem}.`;
    else {
      store(answersName(id), merge(merge(stored(answersName(id)), answers), fromFile));
      kept = Object.fromEntries(Object.entries(merge({}, answers)).map(([key, [, time]]) => [key, time]));
      fromFile = [];
      begin(code, id).then(send);
    }
  } else if (open && own) {
    if (!problem) for (const [key, [, time]] of open) kept[key] = time;
    const count = Object.keys(annotator.answers).filter((key) => kept[key]).length;
    storage = problem ? `Not stored: ${problem}. Save your answers as a file.` : `${count.toLocaleString('en')} answers are stored.`;
    const status = element.querySelector('.judge-stored');
    if (status) status.textContent = storage;
    if (!problem) send();
  }
}

async function resume(file) {
  const status = element.querySelector('.judge-status');
  try {
    const saved = JSON.parse(await file.text());
    if (saved.study !== study.study || saved.guidelines !== study.version || !/^[0-9a-f]{16}$/.test(saved.annotator)) {
      throw new Error('it belongs to another study, or to other guidelines');
    }
    const code = element.querySelector('.code-name').value.trim() || 'me';
    if (study.stores) {
      fromFile = [...saved.answers];
      begin(code);
    } else {
      store(answersName(saved.annotator), merge(stored(answersName(saved.annotator)), saved.answers));
      begin(code, saved.annotator);
    }
  } catch (error) { status.textContent = `This file was not read: ${error.message}`; }
}

const firstOpen = () => (at < order.length ? Math.max(0, study.questions.findIndex((question) => !answerTo(order[at], question))) : 0);

function answer(place) {
  const question = study.questions[asked];
  const given = question?.answers[place];
  if (!given || at >= order.length) return;
  const item = order[at];
  annotator.answers[`${item.token} ${question.name}`] = [given[0], new Date().toISOString(), item.shown];
  const held = store(answersName(annotator.id), annotator.answers);
  if (asked + 1 < study.questions.length) asked += 1;
  else { at += 1; asked = 0; }
  draw(held ? '' : 'The browser keeps no more answers: save them as a file now.');
  if (asked === 0) send();
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
      make('p', { class: 'source' }, `You are ${annotator.code}, in files ${annotator.id}. ${warning}`),
      make('p', { class: 'source judge-stored', role: 'status' }, storage)), guidelines(true)));
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
  const next = study.trial || study.stores ? '' : ' Save your answers as a file, and send it to whoever asked you.';
  return make('section', { class: 'judge-card', tabindex: '0', 'aria-label': text, onkeydown: onKey }, make('p', {}, text + next), ...again);
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

// A file of answers, as leaderboard/judging/answers.py reads it.
function content(entries) {
  const answers = entries.map(([key, [given, time, shown]]) => ({ item: shown, question: key.split(' ')[1], answer: given, time }));
  return { schema_version: 1, study: study.study, guidelines: study.version, annotator: annotator.id, answers };
}
function save() {
  const link = make('a', { download: `${study.study}-${annotator.id}.json` });
  link.href = URL.createObjectURL(new Blob([JSON.stringify(content(Object.entries(annotator.answers)), null, 1)], { type: 'application/json' }));
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

function load() { study = props.value; sent = null; storage = ''; start(); }
window.addEventListener('judge-reply', (event) => replied(event.detail));
watch('value', load);
load();
