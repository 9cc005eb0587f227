import RhythmCore
import RhythmWire

/// Examinations for whoever asks. Each asks database, broker and workers for a lot, so there is one at a time; those who
/// come meanwhile wait, and all of them who may see the same share the next one.
extension ServerCore {
    /// So many wait; more are told to come again.
    static let mostWaitingForExamination = 64

    func diagnose(_ call: Call) {
        waitingForExamination.removeAll { $0.isEnded }
        guard waitingForExamination.count < Self.mostWaitingForExamination else {
            return call.connection.fail(
                call,
                RhythmError(
                    .resourceExhausted, reason: "TOO_MANY_EXAMINATIONS",
                    "\(Self.mostWaitingForExamination) others wait for an examination already", retryAfter: .seconds(5))
            )
        }
        waitingForExamination.append(call)
        examineNext()
    }

    private func examineNext() {
        guard !isExamining else { return }
        waitingForExamination.removeAll { $0.isEnded }
        guard let scope = waitingForExamination.first?.scope else { return }
        let served = waitingForExamination.filter { $0.scope == scope }
        waitingForExamination.removeAll { $0.scope == scope }
        isExamining = true
        for call in served { call.workBegan() }
        examine(within: scope) { [unowned self] findings in
            isExamining = false
            for call in served {
                call.connection.reply(call, .diagnose(DiagnoseReply(findings: findings)))
                call.workEnded()
            }
            examineNext()
        }
    }
}
