package import RhythmCore

/// Findings as people and programs look at them.
package enum DoctorView {
    /// A longer subject has a line of its own.
    private static let subjectColumns = 28

    /// One finding after the other in the order in which they are given, with what follows from it below.
    package static func text(_ findings: [Finding], columns: Int, style: Style) -> String {
        guard !findings.isEmpty else { return "Nothing was found.\n" }
        let widest = findings.map { min(subjectColumns, $0.subject.printable.columns) }.max() ?? 0
        let margin = String(repeating: " ", count: 9)
        var text = ""
        for finding in findings {
            let subject = finding.subject.printable
            let lines = wrap(finding.seen.printable, columns: max(30, columns - 9 - widest - 2))
            for (index, line) in lines.enumerated() {
                if index == 0 {
                    text += style.severity(finding.severity) + style.bold(subject)
                    text +=
                        subject.columns > widest
                        ? "\n" + margin + "".padded(to: widest + 2) : "".padded(to: widest - subject.columns + 2)
                } else {
                    text += margin + "".padded(to: widest + 2)
                }
                text += line + "\n"
            }
            for (label, part) in [("so", finding.consequence), ("do", finding.remedy)] where !part.isEmpty {
                for (index, line) in wrap(part.printable, columns: max(30, columns - 13)).enumerated() {
                    text += margin + (index == 0 ? style.faint(label) + "  " : "    ") + line + "\n"
                }
            }
        }
        return text + "\n" + summary(findings) + "\n"
    }

    private static func summary(_ findings: [Finding]) -> String {
        func count(_ severity: Finding.Severity, _ noun: String) -> String? {
            let number = findings.count { $0.severity == severity }
            return number == 0 ? nil : "\(number) \(noun)\(number == 1 ? "" : "s")"
        }
        let parts = [count(.error, "error"), count(.warning, "warning"), count(.notice, "notice")].compactMap(\.self)
        return parts.isEmpty ? "Everything is as it should be." : parts.joined(separator: ", ") + "."
    }

    /// Breaks between words. A word longer than a line stays whole: it may be a path to be copied.
    private static func wrap(_ text: String, columns: Int) -> [String] {
        var lines: [String] = []
        var line = ""
        for word in text.split(separator: " ").map(String.init) {
            if line.isEmpty {
                line = word
            } else if line.columns + 1 + word.columns <= columns {
                line += " " + word
            } else {
                lines.append(line)
                line = word
            }
        }
        return lines + [line]
    }

    /// The same for programs.
    package static func json(_ findings: [Finding]) -> JSONValue {
        .object([
            .init("healthy", .bool(!findings.contains { $0.severity == .error })),
            .init(
                "findings",
                .array(
                    findings.map { finding in
                        .object([
                            .init("severity", .string(finding.severity.rawValue)),
                            .init("code", .string(finding.code)), .init("subject", .string(finding.subject)),
                            .init("seen", .string(finding.seen)),
                            .init("consequence", .string(finding.consequence)),
                            .init("remedy", .string(finding.remedy)),
                        ])
                    })),
        ])
    }
}

extension Style {
    /// The word for a severity, in its colour and as wide as the longest.
    fileprivate func severity(_ severity: Finding.Severity) -> String {
        let word = severity.rawValue.uppercased().padded(to: 9)
        switch severity {
        case .error: return status("FAILURE", as: word)
        case .warning: return status("REVOKED", as: word)
        case .notice: return status("STARTED", as: word)
        case .ok: return status("SUCCESS", as: word)
        }
    }
}
