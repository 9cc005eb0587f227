import RhythmCore
import RhythmEngine

/// What the clients of a simulation asked, and what they were promised.
struct SimulationClients {
    /// One request on its way or answered.
    struct Request {
        let number: Int
        let command: Command
        /// The workflow it is about; nil for a start.
        let workflow: WorkflowID?
        let requestID: String
    }

    /// A start with a request id, to be repeated until it is answered, and sometimes after that.
    struct Start {
        let spec: WorkflowSpec
        var acknowledged: WorkflowID?
    }

    private(set) var requests: [Request] = []
    private(set) var starts: [String: Start] = [:]
    /// Acknowledged starts in their order.
    private(set) var known: [WorkflowID] = []
    /// The latest acknowledged pause of each workflow, by its number.
    private(set) var pauses: [WorkflowID: Int] = [:]
    private(set) var cancelled: Set<WorkflowID> = []
    /// Resumes that took, or may have taken, effect.
    private(set) var resumes: [WorkflowID: Set<Int>] = [:]
    /// Of these, those of which nobody learned that they are over: one may still be on its way.
    private var openResumes: [WorkflowID: Set<Int>] = [:]
    /// Of these, those with arguments or from an earlier step.
    private(set) var reruns: Set<WorkflowID> = []
    /// Deletes that took, or may have taken, effect.
    private(set) var deletes: [WorkflowID: Set<Int>] = [:]
    private(set) var deleted: Set<WorkflowID> = []
    /// To be deleted as soon as nothing of them runs.
    private(set) var doomed: Set<WorkflowID> = []
    private var receipts: [WorkflowID: [String: Receipt]] = [:]
    private var remembered: [WorkflowID: [String]] = [:]

    /// Asked to be held, and nothing that may have let it go on since.
    func isHeld(_ id: WorkflowID) -> Bool {
        if cancelled.contains(id) { return true }
        guard let pause = pauses[id] else { return false }
        return !(resumes[id] ?? []).contains { $0 > pause }
    }

    func mayBeDeleted(_ id: WorkflowID) -> Bool { deletes[id]?.isEmpty == false }

    /// Makes a request; returns its number.
    mutating func ask(_ command: Command) -> Int {
        let number = requests.count
        var workflow: WorkflowID?
        var requestID = ""
        switch command {
        case .start(let spec, let id):
            requestID = id
            if !id.isEmpty, starts[id] == nil { starts[id] = Start(spec: spec) }
        case .pause(let id, _, let options), .cancel(let id, let options):
            workflow = id
            requestID = options.requestID
        case .resume(let id, let request, let options):
            workflow = id
            requestID = options.requestID
            // A repeated request is no new one; if the first took no effect, this one may.
            resumes[id, default: []].insert(number)
            openResumes[id, default: []].insert(number)
            if request.args != nil || request.fromStep != nil { reruns.insert(id) }
        case .delete(let id, _, _):
            workflow = id
            deletes[id, default: []].insert(number)
        }
        requests.append(Request(number: number, command: command, workflow: workflow, requestID: requestID))
        return number
    }

    /// Takes an answer; returns what is wrong with it.
    mutating func take(_ result: Result<Reply, RhythmError>, for number: Int) -> String? {
        let request = requests[number]
        if let id = request.workflow {
            switch result {
            case .failure(let error) where error.effect == .unknown: break
            default: openResumes[id]?.remove(number)
            }
        }
        switch (result, request.workflow) {
        case (.success(.started(let workflow, let replayed)), nil):
            return started(workflow, replayed, request)
        case (.success(.receipt(let receipt, let replayed)), let id?):
            return take(receipt, replayed, of: id, request)
        case (.success(.deleted(let gone)), let id?):
            if gone { deleted.insert(id) } else { doomed.insert(id) }
            return nil
        case (.failure(let error), let id?):
            if error.effect == .none {
                resumes[id]?.remove(number)
                deletes[id]?.remove(number)
            }
            if error.code == .notFound, error.reason == "NO_SUCH_WORKFLOW", !mayBeDeleted(id) {
                return "an acknowledged start of \(id) was forgotten"
            }
            return nil
        case (.failure(let error), nil):
            if case .start(let spec, _) = request.command, let start = starts[request.requestID], start.spec == spec,
                let id = start.acknowledged, !mayBeDeleted(id), error.code == .alreadyExists
            {
                return "the repeated start '\(request.requestID)' got \(error)"
            }
            return nil
        default:
            return "request \(number) got an answer of the wrong kind"
        }
    }

    private mutating func started(_ workflow: Workflow, _ replayed: Bool, _ request: Request) -> String? {
        let id = workflow.id
        if request.requestID.isEmpty {
            known.append(id)
            return replayed ? "a start without a request id was a repetition" : nil
        }
        guard let start = starts[request.requestID] else { return "an answer to nothing" }
        if let earlier = start.acknowledged {
            if case .start(let spec, _) = request.command, spec != start.spec, !mayBeDeleted(earlier) {
                return "I8: request '\(request.requestID)' was accepted with another body"
            }
            if earlier == id { return replayed ? nil : "I8: \(id) was started twice" }
            return mayBeDeleted(earlier) ? nil : "I8: request '\(request.requestID)' started \(earlier) and \(id)"
        }
        // With whichever body came first.
        if case .start(let spec, _) = request.command {
            starts[request.requestID] = Start(spec: spec, acknowledged: id)
        }
        known.append(id)
        return nil
    }

    private mutating func take(
        _ receipt: Receipt, _ replayed: Bool, of id: WorkflowID, _ request: Request
    ) -> String? {
        let earlier = receipts[id]?[request.requestID]
        if replayed {
            resumes[id]?.remove(request.number)
            if case .resume = request.command { restoreResume(of: id, request.requestID) }
            if let earlier, earlier != receipt { return "I8: '\(request.requestID)' got another answer than the first" }
        } else if earlier != nil, remembered[id]?.suffix(AppliedRequest.kept).contains(request.requestID) == true {
            return "I8: '\(request.requestID)' was done twice"
        }
        if !receipt.accepted {
            if receipt.reason.isEmpty { return "refused without a reason" }
            resumes[id]?.remove(request.number)
            return nil
        }
        if !request.requestID.isEmpty, earlier == nil {
            receipts[id, default: [:]][request.requestID] = receipt
            remembered[id, default: []].append(request.requestID)
        }
        if replayed { return nil }
        switch receipt.command {
        case .pause:
            // One that found it paused already wrote nothing that would keep out what is still on its way.
            if receipt.already, openResumes[id]?.isEmpty == false { break }
            pauses[id] = max(pauses[id] ?? 0, request.number)
        case .cancel: cancelled.insert(id)
        case .resume: break
        }
        return nil
    }

    /// A repeated resume was done when it was first asked; which of its first askings that was, nobody knows.
    private mutating func restoreResume(of id: WorkflowID, _ requestID: String) {
        for request in requests where request.requestID == requestID && request.workflow == id {
            if case .resume = request.command, request.number != requests.last?.number {
                resumes[id, default: []].insert(request.number)
            }
        }
    }
}
