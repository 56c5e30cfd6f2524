"""The style sheet of a report: light and dark, narrow and wide, on paper."""

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #fbfbfa; --card: #ffffff; --ink: #1c1c1c; --soft: #595959; --line: #d9d9d6;
  --link: #0b5394; --problem: #a32900; --note: #0b5394;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #16181b; --card: #202327; --ink: #ececec; --soft: #b4b4b4; --line: #3d4147;
    --link: #8fc4ff; --problem: #ffab8a; --note: #8fc4ff;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1.5rem 1rem 3rem; max-width: 78rem;
  background: var(--paper); color: var(--ink);
  font: 1rem/1.55 system-ui, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif;
  overflow-wrap: break-word;
}
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .4rem; }
h2 { font-size: 1.3rem; margin: 0 0 .4rem; }
p { margin: .3rem 0 .8rem; max-width: 46rem; }
a { color: var(--link); }
small { display: block; color: var(--soft); font-size: .84rem; font-weight: normal; }
.skip { position: absolute; left: -60rem; }
.skip:focus { left: 1rem; top: .5rem; background: var(--card); padding: .4rem .8rem; }
nav ol {
  display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; list-style: none; padding: 0;
  margin: .6rem 0 0;
}
section { border-top: 1px solid var(--line); margin-top: 2rem; padding-top: 1.4rem; }
dl.key {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 10.5rem), 1fr));
  gap: .8rem; margin: 1rem 0;
}
dl.key div {
  background: var(--card); border: 1px solid var(--line); border-radius: .5rem;
  padding: .6rem .8rem;
}
dl.key dt { color: var(--soft); font-size: .84rem; }
dl.key dd { margin: 0; font-size: 1.35rem; font-weight: 600; }
ol.findings { list-style: none; padding: 0; max-width: 52rem; }
ol.findings li {
  background: var(--card); border: 1px solid var(--line); border-left: .35rem solid var(--note);
  border-radius: .4rem; padding: .6rem .9rem; margin: 0 0 .7rem;
}
ol.findings li.problem { border-left-color: var(--problem); }
ol.findings p { margin: 0 0 .2rem; }
ol.findings strong { color: var(--note); }
ol.findings .problem strong { color: var(--problem); }
table {
  border-collapse: collapse; margin: 0 0 1.4rem; width: 100%; max-width: 36rem;
  break-inside: avoid;
}
caption { text-align: left; font-weight: 600; padding-bottom: .3rem; }
th, td {
  border-bottom: 1px solid var(--line); padding: .35rem .9rem .35rem 0;
  vertical-align: top; text-align: left;
}
th:last-child, td:last-child { padding-right: 0; }
th[scope=row] { font-weight: normal; overflow-wrap: anywhere; min-width: 8rem; }
thead th { font-size: .84rem; color: var(--soft); }
td { font-variant-numeric: tabular-nums; }
th code { white-space: nowrap; }
td code { overflow-wrap: anywhere; }
code { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: .88em; }
.content { columns: 2 27rem; column-gap: 2.5rem; }
figure { margin: 0 0 1.4rem; max-width: 36rem; break-inside: avoid; }
figure img {
  display: block; width: 100%; height: auto; background: #ffffff;
  border: 1px solid var(--line); border-radius: .5rem; padding: .4rem;
}
figcaption { color: var(--soft); font-size: .9rem; margin-top: .35rem; }
footer {
  border-top: 1px solid var(--line); margin-top: 2rem; padding-top: 1rem;
  color: var(--soft); font-size: .9rem;
}
@media print {
  :root {
    color-scheme: light;
    --paper: #ffffff; --card: #ffffff; --ink: #000000; --soft: #444444; --line: #bbbbbb;
    --link: #000000; --problem: #a32900; --note: #0b5394;
  }
  body { padding: 0; max-width: none; font-size: 10pt; }
  nav, .skip { display: none; }
  .content { columns: 2; column-gap: 1.5rem; }
  tr, li, dl.key div { break-inside: avoid; }
  h2, section > p, caption { break-after: avoid; }
}
"""
