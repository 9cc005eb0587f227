/// Something that was found when a server looked at itself and at what runs its steps: what was seen, what happens
/// because of it, and what to change.
public struct Finding: Sendable, Hashable {
    /// How bad it is. The raw value is its word for programs.
    public enum Severity: String, Sendable, Hashable, CaseIterable, Comparable {
        /// As it should be.
        case ok
        /// Good to know; it may be meant so.
        case notice
        /// Sooner or later it costs time, or a repeated step.
        case warning
        /// Steps do not run, do not end, or cannot be stopped.
        case error

        /// The worse one is the larger one.
        public static func < (left: Severity, right: Severity) -> Bool { left.rank < right.rank }

        private var rank: Int {
            switch self {
            case .ok: 0
            case .notice: 1
            case .warning: 2
            case .error: 3
            }
        }
    }

    public var severity: Severity
    /// What kind of finding it is, as a stable word for programs, such as `no_consumer`.
    public var code: String
    /// What it is about: `broker`, `queue q2`, `worker w1@host`.
    public var subject: String
    /// What was seen, in a sentence.
    public var seen: String
    /// What happens because of it; empty if nothing does.
    public var consequence: String
    /// What to change; empty if nothing is to be.
    public var remedy: String

    /// Makes a finding.
    public init(
        _ severity: Severity, _ code: String, _ subject: String, _ seen: String, consequence: String = "",
        remedy: String = ""
    ) {
        self.severity = severity
        self.code = code
        self.subject = subject
        self.seen = seen
        self.consequence = consequence
        self.remedy = remedy
    }

    /// The worst first; among equals by subject and code, so that the same findings have one order.
    public static func inOrder(_ findings: [Finding]) -> [Finding] {
        findings.sorted { left, right in
            left.severity == right.severity
                ? (left.subject, left.code, left.seen) < (right.subject, right.code, right.seen)
                : left.severity > right.severity
        }
    }
}
