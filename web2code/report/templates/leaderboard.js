const collator = new Intl.Collator(undefined, {numeric: true});

function sortBy(button) {
  const header = button.closest('th'), body = header.closest('table').tBodies[0], column = header.cellIndex;
  const usual = column ? 'descending' : 'ascending', turned = column ? 'ascending' : 'descending';
  const direction = header.getAttribute('aria-sort') === usual ? turned : usual;
  for (const other of header.parentNode.cells) other.setAttribute('aria-sort', 'none');
  header.setAttribute('aria-sort', direction);
  const value = row => row.cells[column].dataset.value;
  const rows = [...body.rows].sort((one, other) => {
    const [a, b] = [value(one), value(other)];
    if (a === '' || b === '') return (a === '') - (b === '');  // empty cells stay last
    const order = column ? a - b : collator.compare(a, b);
    return direction === 'descending' ? -order : order;
  });
  body.append(...rows);
}

function press(button) {
  for (const other of button.parentNode.querySelectorAll('button')) {
    other.setAttribute('aria-pressed', String(other === button));
  }
  for (const section of document.querySelectorAll('section[data-group]')) {
    section.hidden = button.dataset.show !== 'all' && section.dataset.group !== button.dataset.show;
  }
}

for (const button of document.querySelectorAll('th button')) button.addEventListener('click', () => sortBy(button));
for (const button of document.querySelectorAll('[data-show]')) button.addEventListener('click', () => press(button));
document.getElementById('published').addEventListener('change', event => {
  for (const row of document.querySelectorAll('tr.published')) row.hidden = !event.target.checked;
});
document.querySelector('.controls').hidden = false;
