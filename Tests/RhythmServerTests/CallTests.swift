import RhythmCore
import RhythmServer
import RhythmWire
import Testing

extension ServerTests {
    /// Every call with one answer, good and bad.
    @Suite struct CallTests {
        @Test func startTellsWhichFieldIsWrong() async throws {
            try await Rig.with { rig in
                let peer = try await rig.peer()
                var spec = Rig.gated(["a", "b", "a"])
                let twice = try await peer.failure(of: try await peer.begin(.startWorkflow(StartWorkflow(spec: spec))))
                #expect(twice.code == .invalidArgument)
                #expect(twice.reason == "DUPLICATE")
                #expect(twice.field == "steps[2].name")
                spec.steps = []
                let empty = try await peer.failure(of: try await peer.begin(.startWorkflow(StartWorkflow(spec: spec))))
                #expect(empty.field == "steps")
                #expect(empty.effect == .none)
                #expect(try await list(peer).page.rows.isEmpty)
            }
        }

        @Test func startIsRepeatedByItsRequestID() async throws {
            try await Rig.with { rig in
                let peer = try await rig.peer()
                let spec = Rig.gated()
                let first = try await peer.start(spec, requestID: "r1")
                let again = try await peer.call(.startWorkflow(StartWorkflow(spec: spec, requestID: "r1")))
                guard case .startWorkflow(let reply) = again else { throw RawPeer.Trouble.unexpected(.reply(again)) }
                #expect(reply.replayed)
                #expect(reply.workflow.id == first.id)
                #expect(try await list(peer).page.rows.count == 1)

                let other = StartWorkflow(spec: Rig.gated(["two"]), requestID: "r1")
                let mismatch = try await peer.failure(of: try await peer.begin(.startWorkflow(other)))
                #expect(mismatch.code == .alreadyExists)
                #expect(mismatch.reason == "REQUEST_ID_REUSED")
            }
        }

        @Test func startRefusesAnIDInUse() async throws {
            try await Rig.with { rig in
                let peer = try await rig.peer()
                let started = try await peer.start(Rig.gated(id: "mine"))
                #expect(started.id == "mine")
                let start = StartWorkflow(spec: Rig.gated(id: "mine"))
                let error = try await peer.failure(of: try await peer.begin(.startWorkflow(start)))
                #expect(error.code == .alreadyExists)
                #expect(error.reason == "ID_IN_USE")
            }
        }

        @Test func pauseResumeAndCancelGiveReceipts() async throws {
            try await Rig.with { rig in
                let peer = try await rig.peer()
                let id = try await peer.start(Rig.gated(["one", "two"])).id
                try await peer.until(id, is: .started)
                let paused = try await receipt(peer, .pauseWorkflow(PauseWorkflow(workflowID: id, requestID: "p")))
                #expect(paused.receipt.accepted)
                #expect(paused.receipt.revokedStep?.step == "one")
                #expect(paused.receipt.status == .revoked)
                let replayed = try await receipt(peer, .pauseWorkflow(PauseWorkflow(workflowID: id, requestID: "p")))
                #expect(replayed.replayed)
                #expect(replayed.receipt == paused.receipt)

                let stale = ResumeWorkflow(workflowID: id, expectedVersion: 1)
                let mismatch = try await peer.failure(of: try await peer.begin(.resumeWorkflow(stale)))
                #expect(mismatch.code == .aborted)
                #expect(mismatch.reason == "VERSION_MISMATCH")

                let resumed = try await receipt(peer, .resumeWorkflow(ResumeWorkflow(workflowID: id)))
                #expect(resumed.receipt.accepted)
                #expect(resumed.receipt.restartedStep?.step == "one")
                let cancelled = try await receipt(peer, .cancelWorkflow(CancelWorkflow(workflowID: id)))
                #expect(cancelled.receipt.accepted)
                #expect(try await peer.status(id).isCancelled)

                let nobody = CancelWorkflow(workflowID: "nobody")
                let missing = try await peer.failure(of: try await peer.begin(.cancelWorkflow(nobody)))
                #expect(missing.code == .notFound)
            }
        }

        /// What was acknowledged is what the next read sees.
        @Test func readsSeeWhatWasAcknowledged() async throws {
            try await Rig.with { rig in
                let peer = try await rig.peer()
                for round in 0..<200 {
                    let id = try await peer.start(Rig.gated()).id
                    #expect(try await peer.status(id).version >= 1, "round \(round)")
                    let paused = try await receipt(peer, .pauseWorkflow(PauseWorkflow(workflowID: id)))
                    let seen = try await peer.status(id)
                    #expect(seen.version >= paused.receipt.version, "round \(round)")
                    #expect(seen.isPaused, "round \(round)")
                }
            }
        }

        @Test func deleteIsRefusedWhileActive() async throws {
            try await Rig.with { rig in
                let peer = try await rig.peer()
                let id = try await peer.start(Rig.gated()).id
                let refused = try await peer.failure(
                    of: try await peer.begin(.deleteWorkflow(DeleteWorkflow(workflowID: id))))
                #expect(refused.code == .failedPrecondition)
                _ = try await peer.call(.deleteWorkflow(DeleteWorkflow(workflowID: id, cancelFirst: true)))
                try await eventually("it is gone") {
                    do {
                        _ = try await peer.status(id)
                        return false
                    } catch let error as RhythmError { return error.code == .notFound }
                }
                let done = try await peer.start(Rig.quick()).id
                try await peer.until(done, is: .success)
                let reply = try await peer.call(.deleteWorkflow(DeleteWorkflow(workflowID: done)))
                #expect(reply == .deleteWorkflow(.deleted))
            }
        }

        @Test func statusShowsWhatWasAskedFor() async throws {
            try await Rig.with { rig in
                let peer = try await rig.peer()
                let id = try await peer.start(Rig.gated(["one", "two"])).id
                rig.gates.order(.fail(Failure(type: "Bad", message: "no luck")), id, "one")
                try await peer.until(id, is: .failure)
                _ = try await receipt(peer, .resumeWorkflow(ResumeWorkflow(workflowID: id)))
                rig.gates.succeed(id, "one", attempt: 2, try JSON(parsing: "[42]"))
                try await eventually("the second step runs") {
                    try await peer.status(id).steps[1].status == .started
                }
                let brief = try await peer.status(id)
                #expect(brief.steps[0].attempts.map(\.number) == [2])
                #expect(brief.steps[0].attempts.last?.result?.text == "[42]")
                let full = try await peer.status(GetStatus(workflowID: id, includePreviousAttempts: true))
                #expect(full.steps[0].attempts.map(\.number) == [1, 2])
                #expect(full.steps[0].attempts.first?.failure?.message == "no luck")
                let bare = try await peer.status(GetStatus(workflowID: id, omitResults: true))
                #expect(bare.steps[0].attempts.last?.result == nil)
                rig.gates.succeed(id, "two")
                try await peer.until(id, is: .success)
                // Now it comes from the store.
                let finished = try await peer.status(GetStatus(workflowID: id, includePreviousAttempts: true))
                #expect(finished.steps[0].attempts.map(\.number) == [1, 2])
                #expect(finished.status == .success)
            }
        }

        @Test func statusOfNobodyIsNotFound() async throws {
            try await Rig.with { rig in
                let peer = try await rig.peer()
                let call = try await peer.begin(.getStatus(GetStatus(workflowID: "nobody")))
                let error = try await peer.failure(of: call)
                #expect(error.code == .notFound)
                #expect(error.reason == "NO_SUCH_WORKFLOW")
            }
        }

        @Test func listFiltersPagesAndCounts() async throws {
            try await Rig.with { rig in
                let peer = try await rig.peer()
                for number in 0..<12 {
                    let spec = Rig.quick(
                        id: WorkflowID("w\(number)"), name: number % 2 == 0 ? "even" : "odd",
                        appID: number < 6 ? "first" : "second", labels: ["n": "\(number % 3)"])
                    try await peer.until(try await peer.start(spec).id, is: .success)
                }
                _ = try await peer.start(Rig.gated(id: "waiting", appID: "first"))
                #expect(try await list(peer, WorkflowFilter(appID: "first")).page.rows.count == 7)
                #expect(try await list(peer, WorkflowFilter(name: "odd")).page.rows.count == 6)
                #expect(try await list(peer, WorkflowFilter(labels: ["n": "2"])).page.rows.count == 4)
                let some = WorkflowFilter(ids: ["w3", "w4", "x"])
                #expect(Set(try await list(peer, some).page.rows.map(\.id)) == ["w3", "w4"])
                #expect(try await list(peer, WorkflowFilter(ids: [])).page.rows.isEmpty)
                let counted = ListWorkflows(query: ListQuery(limit: 1), withCounts: true)
                guard case .listWorkflows(let counts) = try await peer.call(.listWorkflows(counted)) else { return }
                #expect(counts.counts?[.success] == 12)

                var seen: [WorkflowID] = []
                var cursor: ListCursor?
                repeat {
                    let query = ListQuery(ascending: true, limit: 5, cursor: cursor)
                    let reply = try await peer.call(.listWorkflows(ListWorkflows(query: query)))
                    guard case .listWorkflows(let page) = reply else { return }
                    seen += page.page.rows.map(\.id)
                    cursor = page.page.next
                } while cursor != nil
                #expect(seen == (0..<12).map { WorkflowID("w\($0)") } + ["waiting"])
            }
        }

        @Test func resolveFindsPrefixes() async throws {
            try await Rig.with { rig in
                let peer = try await rig.peer()
                for id in ["abc1", "abc2", "abd"] { _ = try await peer.start(Rig.gated(id: WorkflowID(id))) }
                let reply = try await peer.call(.resolveID(ResolveID(prefix: "abc")))
                #expect(reply == .resolveID(ResolveReply(workflowIDs: ["abc1", "abc2"])))
                let one = try await peer.call(.resolveID(ResolveID(prefix: "ab", limit: 1)))
                #expect(one == .resolveID(ResolveReply(workflowIDs: ["abc1"])))
            }
        }

        @Test func serverInfoCounts() async throws {
            try await Rig.with { rig in
                let peer = try await rig.peer()
                let other = try await rig.peer(onUnix: true)
                let id = try await peer.start(Rig.gated()).id
                try await other.begin(.watchProgress(WatchProgress(targets: [WatchTarget(workflowID: id)])))
                _ = try await other.next()
                let info = try await peer.info()
                #expect(info.connections == 2)
                #expect(info.watches == 1)
                #expect(info.calls == 2)
                #expect(info.activeWorkflows == 1)
                #expect(info.health == .serving)
                #expect(info.serverID == "the-server")
                #expect(info.epoch == 7)
                #expect(info.runners == ["in-process"])
            }
        }

        private func list(_ peer: RawPeer, _ filter: WorkflowFilter = WorkflowFilter()) async throws -> ListReply {
            let reply = try await peer.call(.listWorkflows(ListWorkflows(query: ListQuery(filter: filter))))
            guard case .listWorkflows(let list) = reply else { throw RawPeer.Trouble.unexpected(.reply(reply)) }
            return list
        }

        private func receipt(_ peer: RawPeer, _ request: Request) async throws -> CommandReply {
            switch try await peer.call(request) {
            case .pauseWorkflow(let reply), .resumeWorkflow(let reply), .cancelWorkflow(let reply): return reply
            case let other: throw RawPeer.Trouble.unexpected(.reply(other))
            }
        }
    }
}
