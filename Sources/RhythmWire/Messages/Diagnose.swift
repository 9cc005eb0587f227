package import RhythmCore

/// What a server found out about itself and what runs its steps.
package struct DiagnoseReply: Sendable, Hashable {
    /// The worst first.
    package var findings: [Finding]

    /// Makes an answer.
    package init(findings: [Finding]) { self.findings = findings }
}
