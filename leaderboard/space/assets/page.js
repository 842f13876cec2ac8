// gradio runs this once per HTML block, with `element` and `trigger`. Text from outside never becomes code: the server
// builds the buttons, and the script reads only their data-event and data-value.
const events = ['sort', 'turn', 'choose', 'pick'];

element.addEventListener('click', (event) => {
  const button = event.target.closest('button');
  if (!button || !element.contains(button)) return;
  const name = button.dataset.event;
  if (events.includes(name)) {
    trigger(name, { value: button.dataset.value });
  } else if (button.classList.contains('rude')) {
    // Shown, the word is also what screen readers say.
    const known = button.classList.toggle('known');
    button.firstElementChild.setAttribute('aria-hidden', String(!known));
    button.title = known ? '' : 'rude word';
  } else if (button.classList.contains('copy')) {
    const text = button.parentElement.querySelector('code').textContent;
    navigator.clipboard.writeText(text).then(() => {
      button.textContent = 'Copied';
      setTimeout(() => { button.textContent = 'Copy'; }, 1500);
    });
  }
});
