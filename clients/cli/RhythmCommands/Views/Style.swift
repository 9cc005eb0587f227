import RhythmCore

/// How words are decorated: not at all unless somebody looks at them.
package struct Style: Sendable, Hashable {
    package var colours: Bool

    package init(colours: Bool) { self.colours = colours }

    /// Without decoration.
    package static let plain = Style(colours: false)

    func bold(_ text: String) -> String { wrap(text, "1") }
    func faint(_ text: String) -> String { wrap(text, "2") }

    /// A status word in its colour.
    func status(_ status: WorkflowStatus) -> String { self.status(status.rawValue) }

    /// A status word in its colour.
    func status(_ word: String) -> String { status(word, as: word) }

    /// Text in the colour of a status word.
    func status(_ word: String, as text: String) -> String {
        switch word {
        case "SUCCESS": wrap(text, "32")
        case "FAILURE": wrap(text, "31")
        case "REVOKED", "RETRY": wrap(text, "33")
        case "STARTED": wrap(text, "36")
        default: text
        }
    }

    private func wrap(_ text: String, _ code: String) -> String {
        colours && !text.isEmpty ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text
    }
}

extension String {
    /// How many columns it takes on a terminal: without escape sequences, East Asian wide characters counting double.
    package var columns: Int {
        var count = 0
        var inEscape = false
        for character in self {
            if inEscape {
                inEscape = !(character.isLetter)
            } else if character == "\u{1B}" {
                inEscape = true
            } else {
                count += character.columns
            }
        }
        return count
    }

    /// Filled up with spaces to so many columns.
    package func padded(to width: Int) -> String { self + String(repeating: " ", count: max(0, width - columns)) }

    /// Not longer than so many columns; what was cut shows as `…`. Only for text without escape sequences.
    package func truncated(to width: Int) -> String {
        guard columns > width else { return self }
        guard width > 0 else { return "" }
        var kept = ""
        var used = 0
        for character in self {
            guard used + character.columns <= width - 1 else { break }
            kept.append(character)
            used += character.columns
        }
        return kept + "…"
    }

    /// Safe to show: control characters, which could move the cursor or worse, become spaces.
    package var printable: String {
        guard unicodeScalars.contains(where: { $0.value < 0x20 || (0x7F...0x9F).contains($0.value) }) else {
            return self
        }
        return String(
            String.UnicodeScalarView(
                unicodeScalars.map { $0.value < 0x20 || (0x7F...0x9F).contains($0.value) ? " " : $0 }))
    }
}

extension Character {
    var columns: Int {
        guard let scalar = unicodeScalars.first else { return 0 }
        switch scalar.value {
        case 0..<0x20, 0x7F..<0xA0: return 0
        case 0x1100...0x115F, 0x2E80...0xA4CF, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F, 0xFF00...0xFF60,
            0xFFE0...0xFFE6, 0x1F300...0x1F64F, 0x1F900...0x1F9FF, 0x20000...0x3FFFD:
            return 2
        default: return 1
        }
    }
}
