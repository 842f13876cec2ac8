// Runs before the page's own scripts. Both pages give their table the id `ranking`; a row is shown once a score is. The
// explorer of sentences has shown what was asked for once the sentence beside its list has changed.
window.painted = null; window.acted = 0; window.shown = 0;
const afterFrame = (then) => requestAnimationFrame(() => setTimeout(() => then(performance.now()), 0));
new MutationObserver((changes) => {
  if (window.painted === null && /0\.\d{3}/.test(document.querySelector('#ranking')?.textContent)) {
    window.painted = -1; afterFrame((now) => { window.painted = now; });
  }
  const parts = [...document.querySelectorAll('#ranking, #sentence')];
  if (changes.some((change) => parts.some((part) => part.contains(change.target))))
    afterFrame((now) => { window.shown = now; });
}).observe(document, {subtree: true, childList: true, characterData: true, attributes: true});
for (const name of ['keydown', 'input', 'mousedown', 'click'])
  window.addEventListener(name, (event) => { window.acted = event.timeStamp; }, true);
