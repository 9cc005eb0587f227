import RhythmCore
import RhythmEngine

extension Simulation {
    /// Something a client may want.
    func makeCommand() -> Command {
        let targets = clients.known.suffix(4)
        if targets.isEmpty || (clients.known.count < 6 && random.once(in: 3)) { return makeStart() }
        if random.once(in: 8), let again = repetition() { return again }
        let id = random.pick(Array(targets))
        let options = makeOptions(id)
        switch Int.random(in: 0..<20, using: &random) {
        case 0..<5: return .pause(id, .now, options)
        case 5..<7: return .pause(id, .afterStep, options)
        case 7..<17: return .resume(id, makeResume(), options)
        case 17..<18: return .cancel(id, options)
        case 18..<19: return .delete(id, cancelFirst: random.once(in: 2))
        default: return makeStart()
        }
    }

    private func makeStart() -> Command {
        let steps = (0..<Int.random(in: 1...4, using: &random)).map { index in
            StepSpec(
                name: "s\(index)", task: "t",
                timeout: random.once(in: 3) ? .seconds(Int.random(in: 1...20, using: &random)) : nil,
                retry: random.once(in: 3)
                    ? RetryPolicy(maxAttempts: 3, backoff: .milliseconds(random.pick([0, 500, 4000]))) : nil)
        }
        let number = clients.requests.count
        let spec = WorkflowSpec(
            id: random.once(in: 4) ? WorkflowID("own-\(number)") : nil, name: "w\(number)", appID: "app",
            args: .array(of: [.string("input")]), steps: steps)
        return .start(spec, requestID: random.once(in: 5) ? "" : "start-\(number)")
    }

    /// A request that was made before, once more; with its id it must change nothing.
    private func repetition() -> Command? {
        let earlier = clients.requests.suffix(20).filter { !$0.requestID.isEmpty }
        guard !earlier.isEmpty else { return nil }
        let command = random.pick(Array(earlier)).command
        guard case .start(var spec, let requestID) = command else { return command }
        // An id that was chosen and deleted would begin a second life.
        if let id = spec.id, clients.mayBeDeleted(id) { return nil }
        guard random.once(in: 5) else { return command }
        // The same id, but something else.
        spec.description += "changed"
        return .start(spec, requestID: requestID)
    }

    private func makeOptions(_ id: WorkflowID) -> CommandOptions {
        let requestID = random.once(in: 2) ? "request-\(clients.requests.count)" : ""
        guard random.once(in: 10) else { return CommandOptions(requestID: requestID) }
        let version = (disk.image.workflows[id]?.version ?? 0) - Int64.random(in: 0...1, using: &random)
        return CommandOptions(requestID: requestID, expectedVersion: version)
    }

    private func makeResume() -> ResumeRequest {
        var request = ResumeRequest()
        if random.once(in: 8) { request.args = .array(of: [.string("other")]) }
        if random.once(in: 8) { request.fromStep = random.pick(["s0", "s1", "s9"]) }
        request.force = random.once(in: 4)
        return request
    }
}
