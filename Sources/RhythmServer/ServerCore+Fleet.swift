import Logging
import RhythmCore
import RhythmEngine
import RhythmWire

/// What a server says of itself and of those that share its store.
extension ServerCore {
    /// Where clients reach this server.
    var addresses: [String] { configuration.addresses(listening: listening) }

    func listServers(_ call: Call) {
        guard let directory = engine.directory else {
            return call.connection.reply(call, .listServers([ownEntry]))
        }
        read { () throws(StoreError) in
            .servers(try directory.servers())
        } then: { [unowned self] result in
            switch result {
            case .servers(let found):
                let own = configuration.serverID
                var others = found.filter { $0.id != own }.sorted { $0.id < $1.id }
                // It knows more of itself than it has told the others.
                var entry = ownEntry
                if let stored = found.first(where: { $0.id == own }) {
                    entry.silence = stored.silence
                    entry.lease = stored.lease
                    entry.isDraining = drainsWork || stored.isDraining
                }
                others.insert(entry, at: 0)
                call.connection.reply(call, .listServers(others))
            case .failed(let error): call.connection.fail(call, error)
            default: break
            }
        }
    }

    private var ownEntry: ServerEntry {
        ServerEntry(
            id: configuration.serverID, isAnswering: true, addresses: addresses, version: configuration.version,
            host: configuration.host, startedAt: Timestamp(microseconds: Int64(clamping: configuration.epoch)),
            followed: engine.activeCount, isDraining: drainsWork)
    }

    func drainServer(undo: Bool, _ call: Call) {
        guard engine.isShared else {
            return call.connection.fail(
                call,
                RhythmError(
                    .failedPrecondition, reason: "NO_OTHERS",
                    "no other server can take over: this one has its store to itself"))
        }
        if drainsWork == undo {
            drainsWork = !undo
            withdraw(because: undo ? nil : "the server was told to leave its work to others")
            engine.drain(!undo)
            logger.notice(undo ? "this server works again" : "this server leaves its work to others, as it was told to")
            if !undo { sendElsewhere(but: call.connection) }
        }
        let reply = DrainReply(isDraining: drainsWork, followedWorkflows: UInt64(engine.activeCount))
        call.connection.reply(call, .drainServer(reply))
    }

    /// Whoever knows another server goes there; the others come again, and are answered.
    private func sendElsewhere(but caller: Connection) {
        let grace = configuration.ageGrace
        for connection in Array(connections.values) where connection !== caller {
            connection.goAway(.draining, grace: grace)
            schedule(after: grace, for: connection) { $0.part() }
        }
    }
}
