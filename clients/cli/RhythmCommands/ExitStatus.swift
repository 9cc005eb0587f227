package import RhythmCore

/// How the program ends. The numbers are part of its interface: scripts depend on them.
package enum ExitStatus: Int32, Sendable, CaseIterable {
    case done = 0
    case workflowFailed = 1
    case usage = 2
    case unreachable = 3
    case notFound = 4
    case refused = 5
    case other = 6
    /// 128 + SIGINT, as shells say it.
    case interrupted = 130

    /// The status for an error of the client or the server.
    package init(_ error: RhythmError) {
        switch error.code {
        case .invalidArgument, .outOfRange: self = .usage
        case .unavailable: self = .unreachable
        case .notFound: self = .notFound
        case .alreadyExists, .failedPrecondition, .permissionDenied, .unauthenticated, .aborted: self = .refused
        case .ok, .cancelled, .unknown, .deadlineExceeded, .resourceExhausted, .unimplemented, .internal, .dataLoss:
            self = .other
        }
    }

    /// The status for the end of a workflow.
    package init(_ status: WorkflowStatus) {
        switch status {
        case .failure, .revoked: self = .workflowFailed
        case .pending, .started, .success: self = .done
        }
    }

    /// For the help.
    static let explanation = """
        EXIT STATUS:
          0  done
          1  the workflow ended in FAILURE or REVOKED (status, watch, start --watch);
             something is broken (doctor)
          2  wrong use: arguments, an invalid workflow file, an ambiguous id
          3  the server cannot be reached
          4  not found
          5  refused: the workflow's state does not allow it, no permission, id taken
          6  anything else
        """
}

/// Why a command did not do what it was asked to: one line that says what is wrong and one that says what to do.
package struct CommandFailure: Error, Sendable, Hashable {
    package var status: ExitStatus
    /// What is wrong. Empty if the output has said it already.
    package var message: String
    /// What to do next; may be empty.
    package var advice: String

    package init(_ status: ExitStatus, _ message: String = "", advice: String = "") {
        self.status = status
        self.message = message
        self.advice = advice
    }

    /// The failure for an error of the client or the server.
    package init(_ error: RhythmError) {
        let field = error.field.isEmpty ? "" : "\(error.field): "
        self.init(ExitStatus(error), field + error.message, advice: Self.advice(for: error))
    }

    /// What goes to standard error.
    package var text: String {
        guard !message.isEmpty else { return "" }
        return "rhythm: \(message)\n" + (advice.isEmpty ? "" : "        \(advice)\n")
    }

    private static func advice(for error: RhythmError) -> String {
        switch error.code {
        // First of all: whoever believes that nothing has happened does it twice.
        case .unavailable where error.effect == .unknown, .unauthenticated where error.effect == .unknown,
            .permissionDenied where error.effect == .unknown, .failedPrecondition where error.effect == .unknown,
            .aborted where error.effect == .unknown, .notFound where error.effect == .unknown:
            "It may or may not have happened; look with 'rhythm status' or 'rhythm list' before trying again."
        case .unavailable where error.reason == "UNREACHABLE":
            "Start it with 'rhythmd', or name another server with --server or RHYTHM_SERVER."
        case .unavailable: "Try again; 'rhythm info' tells how the server is."
        case .notFound: "'rhythm list' shows the workflows that exist."
        case .alreadyExists: "Leave --id out to get a new id, or look at the existing one with 'rhythm status'."
        case .unauthenticated where error.reason == "CERTIFICATE":
            "Name the server's CA with --ca, and your own certificate with --cert and --key."
        case .unauthenticated: "Give a token that the server knows in RHYTHM_TOKEN or with --token-file."
        case .permissionDenied: "Use a token that allows it; 'rhythm token' makes one on the server's machine."
        case .failedPrecondition: "'rhythm status' shows what the workflow is doing and what can be done."
        case .deadlineExceeded: "Wait longer with --timeout, or see with 'rhythm info' how the server is."
        case .invalidArgument, .outOfRange: "'rhythm help' shows the commands and their options."
        case .ok, .cancelled, .unknown, .resourceExhausted, .aborted, .unimplemented, .internal, .dataLoss: ""
        }
    }
}
