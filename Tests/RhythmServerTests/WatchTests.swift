import RhythmCore
import RhythmServer
import RhythmWire
import Testing

extension ServerTests {
    /// What a watch is told while its reader keeps up.
    @Suite struct WatchTests {
        @Test func snapshotThenEveryVersionWithProgressInBetween() async throws {
            try await Rig.with {
                $0.progressInterval = .zero
            } _: { rig in
                let peer = try await rig.peer()
                let id = try await peer.start(Rig.gated(["one", "two"])).id
                let log = try await WatchLog(peer, id, untilDone: true)
                try await log.until("a snapshot") { !$0[id].snapshots.isEmpty }
                for step in ["one", "two"] {
                    for done in 1...5 {
                        rig.gates.report(id, step, done: Double(done), of: 5)
                        try await log.until("progress \(done)") {
                            $0[id].progress.last?.update.progress.done == Double(done)
                        }
                    }
                    #expect(log[id].progress.last?.update.progress.fractionDone == 1)
                    rig.gates.succeed(id, step)
                    try await log.until("the end of \(step)") { $0[id].endedAttempts.count >= (step == "one" ? 1 : 2) }
                }
                try await log.untilEnd()
                #expect(log.end == .some(nil))
                #expect(log[id].status == .success)
                #expect(log[id].lastVersion == (try await peer.status(id)).version)
                #expect(log[id].snapshots.count == 1)
            }
        }

        /// Reports come faster than the interval allows, and the end right behind the last of them.
        @Test func lastProgressComesBeforeTheEnd() async throws {
            try await Rig.with {
                $0.progressInterval = .seconds(60)
            } _: { rig in
                let peer = try await rig.peer()
                for _ in 0..<20 {
                    let id = try await peer.start(Rig.gated()).id
                    let log = try await WatchLog(peer, id, untilDone: true)
                    try await log.untilStatus(id, .started)
                    for done in 1...50 { rig.gates.report(id, "one", done: Double(done), of: 50) }
                    rig.gates.succeed(id, "one")
                    try await log.untilEnd()
                    #expect(log[id].progress.last?.update.progress.done == 50)
                    #expect(log[id].progress.count <= 3, "progress was not held back")
                }
            }
        }

        @Test func progressIsHeldBackButNotLost() async throws {
            try await Rig.with {
                $0.progressInterval = .milliseconds(100)
            } _: { rig in
                let peer = try await rig.peer()
                let id = try await peer.start(Rig.gated()).id
                let log = try await WatchLog(peer, id)
                try await log.untilStatus(id, .started)
                for done in 1...1000 { rig.gates.report(id, "one", done: Double(done), of: 2000) }
                try await log.until("the latest progress") { $0[id].progress.last?.update.progress.done == 1000 }
                #expect(log[id].progress.count < 30)
            }
        }

        @Test func withoutProgressThereIsNone() async throws {
            try await Rig.with { rig in
                let peer = try await rig.peer()
                let id = try await peer.start(Rig.gated()).id
                let request = WatchProgress(
                    targets: [WatchTarget(workflowID: id)], untilDone: true, withoutProgress: true)
                let log = try await WatchLog(peer, request)
                rig.gates.report(id, "one", done: 1)
                rig.gates.succeed(id, "one")
                try await log.untilEnd()
                #expect(log[id].progress.isEmpty)
                #expect(log[id].status == .success)
            }
        }

        @Test func severalTargetsAndTheirEnds() async throws {
            try await Rig.with { rig in
                let peer = try await rig.peer()
                var ids: [WorkflowID] = []
                for _ in 0..<5 { ids.append(try await peer.start(Rig.gated()).id) }
                let finished = try await peer.start(Rig.quick()).id
                try await peer.until(finished, is: .success)
                let targets = (ids + [finished, finished]).map { WatchTarget(workflowID: $0) }
                let log = try await WatchLog(peer, WatchProgress(targets: targets, untilDone: true))
                for id in ids {
                    #expect(log.end == nil)
                    rig.gates.succeed(id, "one")
                    try await log.until("the end of \(id)") { $0[id].status == .success || $0.end != nil }
                }
                try await log.untilEnd()
                #expect(log.end == .some(nil))
                #expect(log[finished].snapshots.count == 1)
            }
        }

        @Test func watchOfADoneWorkflowGoesOnUnlessAskedToEnd() async throws {
            try await Rig.with { rig in
                let peer = try await rig.peer()
                let id = try await peer.start(Rig.gated()).id
                rig.gates.order(.fail(Failure(type: "Bad", message: "no")), id, "one")
                try await peer.until(id, is: .failure)
                let ending = try await WatchLog(peer, id, untilDone: true)
                try await ending.untilEnd()
                #expect(ending.end == .some(nil))
                let log = try await WatchLog(peer, id)
                try await log.untilStatus(id, .failure)
                #expect(log[id].snapshots.last?.steps.last?.failureType == "Bad")
                _ = try await peer.call(.resumeWorkflow(ResumeWorkflow(workflowID: id)))
                rig.gates.succeed(id, "one", attempt: 2)
                try await log.untilStatus(id, .success)
            }
        }

        /// What a client asks for that comes back to a filter watch: where it was, and what starts from now on.
        @Test func targetsAndAFilterTogether() async throws {
            try await Rig.with { rig in
                let peer = try await rig.peer()
                let known = try await peer.start(Rig.gated(id: "known"))
                let log = try await WatchLog(
                    peer,
                    WatchProgress(
                        targets: [WatchTarget(workflowID: "known", afterVersion: known.version)],
                        filter: WorkflowFilter(appID: "tests")))
                let starter = try await rig.peer()
                _ = try await starter.start(Rig.gated(id: "later"))
                rig.gates.succeed("known", "one")
                rig.gates.succeed("later", "one")
                try await log.untilStatus("known", .success)
                try await log.untilStatus("later", .success)
                #expect(log["known"].snapshots.isEmpty)
                #expect(log["later"].snapshots.count == 1)
            }
        }

        @Test func wrongRequestsAreRefused() async throws {
            try await Rig.with {
                $0.maxWatchedWorkflows = 3
            } _: { rig in
                let peer = try await rig.peer()
                let id = try await peer.start(Rig.gated()).id
                let target = WatchTarget(workflowID: id)
                let cases: [(WatchProgress, RhythmError.Code, String)] = [
                    (WatchProgress(), .invalidArgument, "TARGETS_OR_FILTER"),
                    (WatchProgress(targets: [target, WatchTarget(workflowID: "x")]), .notFound, "NO_SUCH_WORKFLOW"),
                    (WatchProgress(targets: Array(repeating: target, count: 4)), .invalidArgument, "TOO_MANY"),
                    (
                        WatchProgress(targets: [WatchTarget(workflowID: id, afterVersion: 99)]), .outOfRange,
                        "VERSION_AHEAD"
                    ),
                    (
                        WatchProgress(targets: [WatchTarget(workflowID: id, afterVersion: -1)]), .invalidArgument,
                        "BAD_VALUE"
                    ),
                ]
                for (request, code, reason) in cases {
                    let log = try await WatchLog(peer, request)
                    while log.end == nil { try await log.next() }
                    let error = try #require(log.end ?? nil)
                    #expect(error.code == code)
                    #expect(error.reason == reason)
                }
                let info = try await peer.info()
                #expect(info.watches == 0 && info.calls == 1)
            }
        }

        @Test(arguments: [
            WorkflowFilter(appID: "blue"), WorkflowFilter(name: "sky"), WorkflowFilter(labels: ["color": "blue"]),
        ])
        func filterMeansWorkflowsThatStartLaterToo(filter: WorkflowFilter) async throws {
            try await Rig.with { rig in
                let peer = try await rig.peer()
                func start(_ id: WorkflowID, blue: Bool) async throws {
                    let spec = Rig.gated(
                        id: id, name: blue ? "sky" : "sun", appID: blue ? "blue" : "red",
                        labels: ["color": blue ? "blue" : "red", "other": "x"])
                    _ = try await peer.start(spec)
                }
                try await start("early", blue: true)
                try await start("early-red", blue: false)
                let log = try await WatchLog(peer, WatchProgress(filter: filter))
                try await log.until("the early one") { $0["early"].snapshots.count == 1 }
                try await start("late-red", blue: false)
                try await start("late", blue: true)
                for id in ["early", "late"] as [WorkflowID] { rig.gates.succeed(id, "one") }
                try await log.untilStatus("early", .success)
                try await log.untilStatus("late", .success)
                #expect(Set(log.told.keys) == ["early", "late"])
                let known = try await peer.status("late").version
                #expect(log["late"].lastVersion == known)
            }
        }

        @Test func aWorkflowJoinsOnceItHasTheStatus() async throws {
            try await Rig.with { rig in
                let peer = try await rig.peer()
                let log = try await WatchLog(peer, WatchProgress(filter: WorkflowFilter(statuses: [.started])))
                let id = try await peer.start(Rig.gated(["one", "two"])).id
                try await log.untilStatus(id, .started)
                #expect(log[id].snapshots.first?.summary.status == .started, "told before it was meant")
                rig.gates.succeed(id, "one")
                rig.gates.succeed(id, "two")
                try await log.untilStatus(id, .success)
            }
        }

        @Test func aFullWatchTakesWhatMovesOnceThereIsRoom() async throws {
            try await Rig.with {
                $0.maxWatchedWorkflows = 1
            } _: { rig in
                let peer = try await rig.peer()
                _ = try await peer.start(Rig.gated(id: "first", appID: "x"))
                let log = try await WatchLog(peer, WatchProgress(filter: WorkflowFilter(appID: "x")))
                try await log.untilStatus("first", .started)
                _ = try await peer.start(Rig.gated(["one", "two"], id: "second", appID: "x"))
                try await peer.until("second", is: .started)
                rig.gates.succeed("first", "one")
                try await log.untilStatus("first", .success)
                rig.gates.succeed("second", "one")
                try await log.untilStatus("second", .started)
                rig.gates.succeed("second", "two")
                try await log.untilStatus("second", .success)
            }
        }

        @Test func filterWithManyShortWorkflowsMissesNone() async throws {
            try await Rig.with { rig in
                let (peer, starter) = (try await rig.peer(), try await rig.peer())
                let log = try await WatchLog(peer, WatchProgress(filter: WorkflowFilter(appID: "many")))
                var bytes: [UInt8] = []
                for number in 1...100 {
                    let spec = Rig.quick(3, id: WorkflowID("m\(number)"), appID: "many")
                    bytes += try RawPeer.bytes(
                        ClientFrame(callID: UInt64(number), body: .call(.startWorkflow(StartWorkflow(spec: spec)))))
                }
                try await starter.send(bytes)
                try await log.until("all succeeded") { log in
                    log.told.count == 100 && log.told.values.allSatisfy { $0.status == .success }
                }
            }
        }

        @Test func deletionIsToldAndTheIDMayBeUsedAgain() async throws {
            try await Rig.with { rig in
                let peer = try await rig.peer()
                _ = try await peer.start(Rig.quick(id: "again", appID: "x"))
                try await peer.until("again", is: .success)
                let log = try await WatchLog(peer, "again")
                let waiting = try await WatchLog(peer, "again", untilDone: false)
                try await log.until("a snapshot") { !$0["again"].snapshots.isEmpty }
                let filtered = try await WatchLog(peer, WatchProgress(filter: WorkflowFilter(appID: "x")))
                _ = try await peer.call(.deleteWorkflow(DeleteWorkflow(workflowID: "again")))
                try await log.until("deleted") { $0["again"].isDeleted }
                try await waiting.until("deleted") { $0["again"].isDeleted }

                _ = try await peer.start(Rig.gated(id: "again", appID: "x"))
                let second = try await WatchLog(peer, "again", untilDone: true)
                try await second.until("a snapshot") { !$0["again"].snapshots.isEmpty }
                rig.gates.succeed("again", "one")
                try await second.untilEnd()
                #expect(second["again"].status == .success)
                #expect(!second["again"].isDeleted)
                try await filtered.untilStatus("again", .success)
                #expect(log["again"].transitions.isEmpty)
            }
        }

        @Test func aFilterWatchFollowsTheNextWorkflowWithADeletedID() async throws {
            try await Rig.with { rig in
                let peer = try await rig.peer()
                _ = try await peer.start(Rig.gated(id: "again", appID: "x"))
                let log = try await WatchLog(peer, WatchProgress(filter: WorkflowFilter(appID: "x")))
                try await log.until("a snapshot") { $0["again"].snapshots.count == 1 }
                _ = try await peer.call(.deleteWorkflow(DeleteWorkflow(workflowID: "again", cancelFirst: true)))
                try await log.until("deleted") { $0["again"].isDeleted }
                _ = try await peer.start(Rig.gated(["two"], id: "again", appID: "x"))
                try await log.until("the next one") { !$0["again"].isDeleted && $0["again"].snapshots.count == 1 }
                rig.gates.succeed("again", "two")
                try await log.untilStatus("again", .success)
            }
        }

        @Test func deletionEndsAWatchThatAskedForTheEnd() async throws {
            try await Rig.with { rig in
                let peer = try await rig.peer()
                let id = try await peer.start(Rig.gated()).id
                let log = try await WatchLog(peer, id, untilDone: true)
                try await log.until("a snapshot") { !$0[id].snapshots.isEmpty }
                _ = try await peer.call(.deleteWorkflow(DeleteWorkflow(workflowID: id, cancelFirst: true)))
                try await log.untilEnd()
                #expect(log.end == .some(nil))
            }
        }

        @Test func silenceIsFilledWithBookmarks() async throws {
            try await Rig.with {
                $0.bookmarkInterval = .milliseconds(80)
            } _: { rig in
                let peer = try await rig.peer()
                let id = try await peer.start(Rig.gated()).id
                let log = try await WatchLog(peer, id)
                try await log.until("three bookmarks") { $0.bookmarks >= 3 }
                rig.gates.succeed(id, "one")
                try await log.untilStatus(id, .success)
            }
        }

        @Test func thousandWatchesSeeOneUpdate() async throws {
            try await Rig.with { rig in
                let starter = try await rig.peer()
                let id = try await starter.start(Rig.gated()).id
                try await starter.until(id, is: .started)
                var logs: [WatchLog] = []
                for _ in 0..<10 {
                    let peer = try await rig.peer()
                    for _ in 0..<100 { logs.append(try await WatchLog(peer, id)) }
                }
                for log in logs { try await log.untilStatus(id, .started) }
                rig.gates.report(id, "one", done: 1, of: 2)
                for log in logs { try await log.until("progress") { !$0[id].progress.isEmpty } }
                rig.gates.succeed(id, "one")
                for log in logs { try await log.untilStatus(id, .success) }
                #expect(try await starter.info().watches == 1000)
            }
        }
    }
}
