//! What is done to the page, and what must hold then.

/// One step.
pub(super) enum Step {
    /// Runs a script.
    Do(&'static str),
    /// Presses a key: its name and number.
    Press(&'static str, u32),
    /// What must hold, and the condition that says so.
    Holds(&'static str, &'static str),
}

use Step::{Do, Holds, Press};

/// What the steps below speak of.
pub(super) const WORDS: &str = "
    var scheme = '';
    var all = (selector) => [...document.querySelectorAll(selector)];
    var one = (selector) => document.querySelector(selector);
    var profile = JSON.parse(one('#data').textContent);
    var n = profile.layers.length;
    var head = (name) => all('thead th').find((th) => th.textContent === name);
    var column = (name) => all('thead th').indexOf(head(name));
    var cells = (name) => all('tbody tr').map((row) => row.cells[column(name)].textContent);
    var numbers = (name) => cells(name).map(parseFloat);
    var type = (words) => { one('#filter').value = words; one('#filter').dispatchEvent(new Event('input')); };
    var at = () => Number(document.activeElement.dataset.i);
    var inside = (box, e) => { const r = e.getBoundingClientRect(); return r.left >= box.left - 1 && r.right <= box.right + 1; };
    var within = (chart, marks) => { const box = one(chart).getBoundingClientRect(); return all(marks).every((e) => inside(box, e)); };
    undefined";

pub(super) const STEPS: &[Step] = &[
    Holds(
        "the page is of the model",
        "document.title.startsWith(profile.model) && one('h1').textContent === profile.model",
    ),
    Holds(
        "it has the user's colors",
        "(getComputedStyle(document.body).backgroundColor === 'rgb(16, 19, 24)') === (scheme === 'dark')",
    ),
    Holds("nothing is wider than the window", "document.documentElement.scrollWidth <= innerWidth"),
    Holds(
        "unmeasured energy says so",
        "(profile.measured.package_mj === null) === one('#tiles').textContent.includes('not available')",
    ),
    Holds(
        "every control has a name",
        "all('button, input, select').every((e) => (e.ariaLabel || e.textContent.trim() || e.labels?.[0]?.textContent || '').length > 1 || e.closest('thead'))",
    ),
    // Charts.
    Holds(
        "each layer has a bar",
        "all('#time .bar').length === n && all('#time .bar').every((e) => e.height.baseVal.value > 0)",
    ),
    Holds(
        "the slowest layer has the highest bar",
        "Math.max(...profile.layers.map((l) => l.ms)) === profile.layers[all('#time .bar').map((e) => e.height.baseVal.value).reduce((m, h, i, hs) => h > hs[m] ? i : m, 0)].ms",
    ),
    Holds(
        "each layer with multiply-adds has a point",
        "all('#roofline .point').length === profile.layers.filter((l) => l.macs > 0).length",
    ),
    Holds("there are all ceilings", "all('#roofline .roof').length === 5 && all('#roofline .label').length === 5"),
    Holds(
        "points and bars lie in their charts",
        "within('#roofline', '#roofline .point') && within('#time', '#time .bar')",
    ),
    Holds(
        "no shape is without a place",
        "all('svg *').every((e) => [...e.attributes].every((a) => !a.value.includes('NaN') && !a.value.includes('Infinity')))",
    ),
    Holds("each layer has its memory", "all('#memory .mark').length === n && all('#memory .area').length === 2"),
    Holds("each kind has its energy", "all('#energy [role=listitem]').length === Math.min(profile.kinds.length, 10)"),
    // Sorting.
    Holds(
        "the table has all layers",
        "all('tbody tr').length === n && cells('#').every((c, i) => Number(c) === i + 1)",
    ),
    Do("head('ms').firstChild.click()"),
    Holds(
        "numbers sort from the largest down",
        "head('ms').ariaSort === 'descending' && numbers('ms').every((x, i, xs) => i === 0 || x <= xs[i - 1])",
    ),
    Do("head('ms').firstChild.click()"),
    Holds(
        "and the other way",
        "head('ms').ariaSort === 'ascending' && numbers('ms').every((x, i, xs) => i === 0 || x >= xs[i - 1])",
    ),
    Do("head('layer').firstChild.click()"),
    Holds(
        "words sort by their letters",
        "cells('layer').every((x, i, xs) => i === 0 || xs[i - 1].localeCompare(x) <= 0) && head('ms').ariaSort === null",
    ),
    Do("head('#').firstChild.click()"),
    Holds(
        "the largest share has the longest bar",
        "Math.max(...all('td.share').map((td) => parseFloat(td.style.getPropertyValue('--part')))) === 100",
    ),
    // Filters.
    Do("type('CONV-pointwise')"),
    Holds(
        "words filter the table",
        "all('tbody tr').length > 0 && all('tbody tr').length < n && cells('schedule').every((k) => k.includes('conv-pointwise'))",
    ),
    Holds("and dim the others in the charts", "all('#time .mark.dim').length === n - all('tbody tr').length"),
    Holds("the count is told", "one('#count').textContent === `${all('tbody tr').length} of ${n} layers`"),
    Do("type('no such layer')"),
    Holds("nothing may be left", "all('tbody tr').length === 0"),
    Do("type(''); one('#kinds button').click()"),
    Holds(
        "a kind can be chosen",
        "all('tbody tr').length === profile.kinds[0].steps && one('#kinds button').ariaPressed === 'true'",
    ),
    Do("one('#kinds button').click()"),
    Holds("and let go", "all('tbody tr').length === n && one('#kinds button').ariaPressed === 'false'"),
    // The keyboard.
    Do("one('#theme').focus()"),
    Press("Tab", 9),
    Holds("Tab comes to the kinds", "document.activeElement === one('#kinds button')"),
    Do("all('#kinds button').at(-1).focus()"),
    Press("Tab", 9),
    Holds("then to one mark of the chart", "document.activeElement.matches('#time .mark') && at() === 0"),
    Press("ArrowRight", 39),
    Holds("arrows move on", "document.activeElement.matches('#time .mark') && at() === 1"),
    Holds("the focus is seen", "getComputedStyle(document.activeElement.querySelector('.bar')).strokeWidth === '3px'"),
    Holds(
        "the mark says what it is",
        "document.activeElement.ariaLabel.startsWith(profile.layers[1].layer) && !one('#tip').hidden",
    ),
    Press("Enter", 13),
    Holds(
        "Enter shows the layer everywhere",
        "!one('#detail').hidden && one('#detail').textContent.includes(profile.layers[1].layer) && one('tbody tr.chosen').dataset.i === '1' && all('.mark.chosen').length >= 2",
    ),
    Press("Escape", 27),
    Holds("Escape lets it go", "one('#detail').hidden && !one('.chosen')"),
    Press("Tab", 9),
    Holds("Tab leaves the chart for the next", "document.activeElement.matches('#roofline .mark')"),
    Do("one('tbody tr').focus()"),
    Press("ArrowDown", 40),
    Holds("arrows move between rows", "document.activeElement.matches('tbody tr') && at() === 1"),
    Holds("the row in focus is seen", "getComputedStyle(document.activeElement).outlineStyle === 'solid'"),
    Press("End", 35),
    Holds("End is the last row", "at() === n - 1"),
    // The button for the other colors.
    Do("one('#theme').click()"),
    Holds(
        "colors can be changed",
        "(getComputedStyle(document.body).backgroundColor === 'rgb(16, 19, 24)') === (scheme === 'light')",
    ),
];
