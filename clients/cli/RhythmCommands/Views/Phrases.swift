package import RhythmCore

/// Times, durations and amounts as people read them.
package enum Phrases {
    /// `0.4s`, `12s`, `1m20s`, `2h05m`, `3d4h`.
    package static func duration(_ duration: Duration) -> String {
        let seconds = duration.inSeconds
        if seconds < 9.95 { return "\(decimal(max(0, seconds)))s" }
        let whole = Int64(seconds.rounded())
        func two(_ value: Int64) -> String { value < 10 ? "0\(value)" : "\(value)" }
        switch whole {
        case ..<60: return "\(whole)s"
        case ..<3600: return "\(whole / 60)m\(two(whole % 60))s"
        case ..<86_400: return "\(whole / 3600)h\(two(whole / 60 % 60))m"
        default: return "\(whole / 86_400)d\(whole / 3600 % 24)h"
        }
    }

    /// `just now`, `5s ago`, `3m ago`, `2h ago`, `3d ago`.
    package static func ago(_ time: Timestamp, now: Timestamp) -> String {
        let seconds = now.since(time).wholeMilliseconds / 1000
        switch seconds {
        case ..<1: return "just now"
        case ..<60: return "\(seconds)s ago"
        case ..<3600: return "\(seconds / 60)m ago"
        case ..<86_400: return "\(seconds / 3600)h ago"
        default: return "\(seconds / 86_400)d ago"
        }
    }

    /// `1st`, `2nd`, `3rd`, `4th`, `11th`.
    package static func ordinal(_ number: Int) -> String {
        let isTeen = (11...13).contains(number % 100)
        let ending =
            switch number % 10 {
            case 1 where !isTeen: "st"
            case 2 where !isTeen: "nd"
            case 3 where !isTeen: "rd"
            default: "th"
            }
        return "\(number)\(ending)"
    }

    /// `2026-01-02 03:04:05Z`.
    package static func clock(_ time: Timestamp) -> String {
        let text = time.iso8601
        return text.prefix(10) + " " + text.dropFirst(11).prefix(8) + "Z"
    }

    /// One decimal, none for whole numbers from 100 on.
    static func decimal(_ value: Double) -> String {
        guard value.isFinite, abs(value) < 1e15 else { return "\(value)" }
        if abs(value) >= 100 { return "\(Int64(value.rounded()))" }
        let tenths = Int64((value * 10).rounded())
        return tenths % 10 == 0 && abs(value) >= 10
            ? "\(tenths / 10)" : "\(tenths < 0 ? "-" : "")\(abs(tenths) / 10).\(abs(tenths) % 10)"
    }

    /// `1.5 MiB` for bytes, `12.3k items` and the like for anything else.
    package static func amount(_ value: Double, units: String) -> String {
        let isBytes = ["b", "byte", "bytes"].contains(units.lowercased())
        let base = isBytes ? 1024.0 : 1000
        let names = isBytes ? ["B", "KiB", "MiB", "GiB", "TiB", "PiB"] : ["", "k", "M", "G", "T", "P"]
        var scaled = value
        var index = 0
        while abs(scaled) >= base, index < names.count - 1, isBytes || abs(value) >= 100_000 {
            scaled /= base
            index += 1
        }
        if isBytes { return "\(decimal(scaled)) \(names[index])" }
        return decimal(scaled) + names[index] + (units.isEmpty ? "" : " \(units)")
    }

    /// The same for a second.
    package static func rate(_ value: Double, units: String) -> String { amount(value, units: units) + "/s" }

    /// The beginning of an id that people type: 8 characters of a UUID, all of any other.
    package static func short(_ id: WorkflowID) -> String {
        let text = id.rawValue
        let groups = text.split(separator: "-", omittingEmptySubsequences: false).map(\.count)
        return groups == [8, 4, 4, 4, 12] ? String(text.prefix(8)) : text
    }

    /// How far an attempt is, in one phrase.
    package static func progress(_ progress: Progress) -> String {
        var parts: [String] = []
        if let fraction = progress.fractionDone {
            parts.append("\(Int64(fraction * 100))%")
        } else if progress.isCounted {
            parts.append(amount(progress.done, units: progress.units))
        } else if !progress.name.isEmpty {
            parts.append(progress.name.printable)
        }
        if let rate = progress.weightedRate ?? progress.averageRate {
            parts.append(Self.rate(rate, units: progress.units))
        }
        if let left = progress.timeRemaining, left > 0 {
            parts.append("ETA " + duration(Duration(seconds: left) ?? .zero))
        }
        let own = Self.own(of: progress)
        if !own.isEmpty { parts.append(own) }
        return parts.joined(separator: ", ")
    }

    /// What a task reports besides, as much as fits.
    private static func own(of progress: Progress) -> String {
        var text = ""
        for member in progress.own where member.name != "time_remaining_sec" {
            let value = member.value.stringValue ?? member.value.compactText
            let next = (text.isEmpty ? "" : ", ") + "\(member.name) \(value)".printable
            guard text.count + next.count <= 60 else { return text.isEmpty ? "" : text + ", ..." }
            text += next
        }
        return text
    }
}
