import Dispatch
public import RhythmCore

extension EngineService {
    /// Looks at the store and has the runner look at what it runs attempts with.
    ///
    /// - Parameters:
    ///   - scope: only the workflows of these applications count as what there is to run.
    ///   - answer: called once, from any thread, usually within seconds; the worst finding comes first. Not called if the
    ///     service is stopped meanwhile.
    public func examine(within scope: AppScope = .all, answer: @escaping @Sendable ([Finding]) -> Void) {
        let needs = TaskNeed.all(of: activeWorkflows().filter { !$0.isSettled && scope.contains($0.appID) })
        // The store may have to be asked, and whoever calls must not wait for that.
        DispatchQueue.global(qos: .utility).async { [self] in
            let examined = (reader as? any ExaminableReader)?.examine(within: scope) ?? []
            let own = [storeFinding] + clockFindings + serverFindings(within: scope) + examined
            runner.examine(needs) { answer(Finding.inOrder(own + $0)) }
        }
    }

    /// Other servers of the store that are late, or have settings that they should not have beside this one's.
    private func serverFindings(within scope: AppScope) -> [Finding] {
        guard let directory, let servers = try? directory.servers() else { return [] }
        return servers.filter { $0.id != directory.ownID }.flatMap { server in
            let name = "server \(server.id)" + (server.addresses.first.map { " at \($0)" } ?? "")
            var findings = server.differences.map { difference in
                Finding(
                    difference.isDangerous ? .error : .warning, "settings_differ", name,
                    "its \(difference.name) is '\(difference.theirs)', here it is '\(difference.ours)'",
                    consequence: difference.consequence, remedy: "give all servers of the store the same setting")
            }
            if server.isGone, server.followed > 0 {
                let followed = scope == .all ? "\(server.followed) workflows" : "workflows"
                findings.append(
                    Finding(
                        .warning, "server_gone", name,
                        "nothing was heard of it for \(server.silence.components.seconds) s, and it follows \(followed)",
                        consequence: "they stand still until another server takes them over",
                        remedy: "see whether a server that takes on work can reach the database"))
            }
            return findings
        }
    }

    /// Where the clock of this server is not that of the store, or that of another one is not.
    private var clockFindings: [Finding] {
        var ahead: [(whose: String, by: Duration)] = []
        if let own = clock?.wallAhead { ahead.append(("this server", own)) }
        if let link { ahead += link.clocksOfOthers.map { ("server \($0.name)", $0.ahead) } }
        return ahead.filter { abs($0.by.wholeMicroseconds) > 1_000_000 }.map { clock in
            let seconds = clock.by.components.seconds
            return Finding(
                .warning, "server_clock", clock.whose,
                "its clock is \(abs(seconds)) s \(seconds < 0 ? "behind" : "ahead of") the database's",
                consequence:
                    "what is due is measured by the database's clock and does not suffer; times in its log, and of"
                    + " what its tasks report, are wrong",
                remedy: "have all machines keep their clocks by NTP")
        }
    }

    private var storeFinding: Finding {
        guard let trouble = storeTrouble else {
            return Finding(.ok, "store", "store", "it stores what it is given")
        }
        return Finding(
            .error, "store_trouble", "store", "it refuses to store: \(trouble.message)",
            consequence: "commands are refused, and steps that end are not followed by the next one until it works",
            remedy: trouble.code.remedy)
    }
}

extension StoreError.Code {
    fileprivate var remedy: String {
        switch self {
        case .full: "make room on its disk; the server tries again every second"
        case .readOnly, .permission: "let the server's user write to it"
        case .corrupt: "keep a copy of it, then restore a backup"
        case .inUse: "stop the other server, or give this one a store of its own"
        case .replaced: "stop one of the two, and remove the file server-id of the data directory that is a copy"
        case .tooNew: "run the version of the server that wrote it, or a later one"
        case .tooOld: "give this server a store of its own, or run the version that wrote it"
        case .unavailable, .conflict:
            "see that the database runs and can be reached; the server tries again every second"
        }
    }
}
