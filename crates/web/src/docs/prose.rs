//! The little of Markdown that doc comments use: paragraphs, and `code` between backticks. All else is text.

/// Each paragraph as HTML, escaped: a blank line parts them, any other end of a line is a space.
pub(super) fn paragraphs(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    lines.split(|line| line.is_empty()).filter(|lines| !lines.is_empty()).map(|lines| marked(&lines.join(" "))).collect()
}

/// The same in one line, where there is no room for paragraphs.
pub(super) fn inline(text: &str) -> String {
    paragraphs(text).join(" ")
}

fn marked(text: &str) -> String {
    let mut html = String::with_capacity(text.len() + 32);
    let mut rest = text;
    while let Some((before, (code, after))) = rest.split_once('`').and_then(|(before, rest)| Some((before, rest.split_once('`')?))) {
        escape(before, &mut html);
        html.push_str("<code>");
        escape(code, &mut html);
        html.push_str("</code>");
        rest = after;
    }
    escape(rest, &mut html);
    html
}

fn escape(text: &str, html: &mut String) {
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            c => html.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_and_code_are_marked_and_nothing_else() {
        let text = "Say `a < b`\nor <b>not</b>.\n\n  Second, *plain* & \"quoted\".\n\n\n";
        assert_eq!(paragraphs(text), ["Say <code>a &lt; b</code> or &lt;b&gt;not&lt;/b&gt;.", "Second, *plain* &amp; &quot;quoted&quot;."]);
        assert_eq!(inline("one\ntwo\n\nthree"), "one two three");
    }

    #[test]
    fn a_backtick_alone_is_a_backtick() {
        assert_eq!(paragraphs("it`s `<i>`, no`"), ["it<code>s </code>&lt;i&gt;<code>, no</code>"]);
        assert_eq!(paragraphs("one ` alone"), ["one ` alone"]);
        assert_eq!(paragraphs(""), [] as [String; 0]);
    }
}
