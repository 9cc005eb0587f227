import RhythmAuth
import RhythmCore
import RhythmServer
import RhythmWire
import Testing

extension ServerTests {
    /// Every call as every role, for own and foreign workflows, as a client sees it.
    @Suite(.timeLimit(.minutes(2))) struct AuthorizationTests {
        /// The calls that name a workflow, with the role they are for.
        private static let calls: [(name: CallName, least: Role, request: @Sendable (WorkflowID) -> Request)] = [
            (.getStatus, .read, { .getStatus(GetStatus(workflowID: $0)) }),
            (.getStatus, .read, { .getStatus(GetStatus(workflowID: $0, waitAfterVersion: 0)) }),
            (.watchProgress, .read, { .watchProgress(WatchProgress(targets: [WatchTarget(workflowID: $0)])) }),
            (.tailLog, .read, { .tailLog(TailLog(workflowID: $0, maxBytes: 1)) }),
            (.pauseWorkflow, .operate, { .pauseWorkflow(PauseWorkflow(workflowID: $0)) }),
            (.resumeWorkflow, .operate, { .resumeWorkflow(ResumeWorkflow(workflowID: $0, force: true)) }),
            (.cancelWorkflow, .operate, { .cancelWorkflow(CancelWorkflow(workflowID: $0)) }),
            (.deleteWorkflow, .admin, { .deleteWorkflow(DeleteWorkflow(workflowID: $0, cancelFirst: true)) }),
        ]

        /// What a call came to.
        private enum Outcome: Equatable {
            case done
            case refused(RhythmError)
        }

        private func outcome(_ peer: RawPeer, _ request: Request) async throws -> Outcome {
            let id = try await peer.begin(request)
            switch try await peer.next(of: id) {
            case .status(let error?): return .refused(error)
            default:
                if request.isStream { try await peer.send(ClientFrame(callID: id, body: .cancel)) }
                return .done
            }
        }

        /// An unlimited admin, and a token of a role that is limited to the application `own`.
        private func with(
            _ role: Role, _ body: (Rig, _ admin: RawPeer, _ limited: RawPeer) async throws -> Void
        ) async throws {
            var tokens = Tokens()
            let all = tokens.make(.admin)
            let own = tokens.make(role, .only(["own", "own too"]))
            let security = try tokens.security()
            try await Rig.with {
                $0.security = security
            } _: { rig in
                try await body(rig, try await rig.peer(token: all), try await rig.peer(token: own))
            }
        }

        @Test(arguments: Role.allCases)
        func callsThatNameAWorkflow(role: Role) async throws {
            let covered = Set(Self.calls.map(\.name))
            let others: Set<CallName> = [
                .startWorkflow, .listWorkflows, .resolveID, .getServerInfo, .diagnose, .getConnections, .getStats,
                .adoptWorkflows, .listServers, .drainServer,
            ]
            #expect(covered.union(others) == Set(CallName.allCases), "no call is left out")
            try await with(role) { rig, admin, limited in
                let foreign = try await admin.start(Rig.gated(appID: "foreign"))
                let settled = try await admin.start(Rig.quick(appID: "foreign"))
                try await admin.until(foreign.id, is: .started)
                try await admin.until(settled.id, is: .success)
                for id in [foreign.id, settled.id] {
                    // An answer to somebody else that the server keeps is none for this caller.
                    for _ in 0..<3 { _ = try await admin.status(id) }
                }
                let before = [try await admin.status(foreign.id), try await admin.status(settled.id)]
                for (name, least, request) in Self.calls {
                    let own = try await admin.start(Rig.gated(appID: "own"))
                    try await admin.until(own.id, is: .started)
                    rig.logs.write("x", to: try await admin.status(own.id).steps[0].attempts[0].id)
                    let done = try await outcome(limited, request(own.id))
                    let unknown = try await outcome(limited, request("unknown"))
                    if role >= least {
                        #expect(done == .done, "\(name) as \(role)")
                        guard case .refused(let error) = unknown else {
                            Issue.record("\(name) as \(role): \(unknown)")
                            continue
                        }
                        #expect(error.code == .notFound && error.reason == "NO_SUCH_WORKFLOW")
                    } else {
                        guard case .refused(let error) = done else {
                            Issue.record("\(name) as \(role): \(done)")
                            continue
                        }
                        #expect(error.code == .permissionDenied && error.reason == "ROLE")
                    }
                    for id in [foreign.id, settled.id] {
                        let hidden = try await outcome(limited, request(id))
                        #expect(
                            hidden == Self.replacing("unknown", with: id, in: unknown),
                            "\(name) as \(role): what is foreign is as if it were not there")
                    }
                }
                #expect([try await admin.status(foreign.id), try await admin.status(settled.id)] == before)
            }
        }

        /// Who is limited to some applications stops no others, and does not see their people.
        @Test(arguments: Role.allCases)
        func whatConcernsAllApplications(role: Role) async throws {
            try await with(role) { _, admin, limited in
                for request in [Request.drainServer(undo: false), .drainServer(undo: true), .getConnections] {
                    guard case .refused(let error) = try await outcome(limited, request) else {
                        Issue.record("\(request) as \(role) was carried out")
                        continue
                    }
                    #expect(error.code == .permissionDenied && error.reason == (role == .admin ? "SCOPE" : "ROLE"))
                    if role == .admin { #expect(error.message.contains("'own', 'own too'")) }
                }
                #expect(try await outcome(admin, .getConnections) == .done)
                guard case .refused(let error) = try await outcome(admin, .drainServer(undo: false)) else { return }
                #expect(error.reason == "NO_OTHERS", "it may, and has nobody to leave the work to")
            }
        }

        private static func replacing(_ text: String, with id: WorkflowID, in outcome: Outcome) -> Outcome {
            guard case .refused(var error) = outcome else { return outcome }
            error.message = error.message.replacing(text, with: id.rawValue)
            return .refused(error)
        }

        @Test(arguments: Role.allCases)
        func starts(role: Role) async throws {
            try await with(role) { _, admin, limited in
                func start(_ appID: String, _ requestID: String = "") -> Request {
                    .startWorkflow(StartWorkflow(spec: Rig.gated(appID: appID), requestID: requestID))
                }
                guard role >= .operate else {
                    for appID in ["own", "foreign"] {
                        guard case .refused(let error) = try await outcome(limited, start(appID)) else {
                            Issue.record("started")
                            return
                        }
                        #expect(error.code == .permissionDenied && error.reason == "ROLE")
                    }
                    #expect(try await admin.info().activeWorkflows == 0)
                    return
                }
                #expect(try await outcome(limited, start("own")) == .done)
                #expect(try await outcome(limited, start("own too")) == .done)
                guard case .refused(let error) = try await outcome(limited, start("foreign")) else {
                    Issue.record("started")
                    return
                }
                #expect(error.code == .permissionDenied && error.reason == "APP_ID" && error.field == "spec.app_id")
                #expect(error.message.contains("'foreign'") && error.message.contains("'own', 'own too'"))
                #expect(try await admin.info().activeWorkflows == 2)
                // The request id of somebody else tells nothing about his workflow.
                let theirs = try await admin.start(Rig.gated(appID: "foreign"), requestID: "r")
                guard case .refused(let taken) = try await outcome(limited, start("own", "r")) else {
                    Issue.record("started")
                    return
                }
                #expect(taken.code == .alreadyExists && !taken.message.contains(theirs.id.rawValue))
            }
        }

        @Test(arguments: Role.allCases)
        func listsCountsAndPrefixes(role: Role) async throws {
            try await with(role) { rig, admin, limited in
                var own: [WorkflowID] = []
                for number in 0..<18 {
                    let appID = ["own", "foreign", "own too"][number % 3]
                    let id = WorkflowID("w-\(number / 10)\(number % 10)")
                    _ = try await admin.start(Rig.gated(id: id, appID: appID))
                    if appID != "foreign" { own.append(id) }
                    // Nothing moves while pages are read.
                    try await admin.until(id, is: .started)
                }
                for ascending in [true, false] {
                    for sort in ListQuery.Sort.allCases {
                        var query = ListQuery(sort: sort, ascending: ascending, limit: 5)
                        let all = try await list(admin, query, pages: 4).filter { own.contains($0) }
                        #expect(all.count == own.count)
                        #expect(try await list(limited, query, pages: 3) == all)
                        query.filter.appID = "foreign"
                        #expect(try await list(limited, query, pages: 1) == [])
                        query.filter.appID = "own too"
                        #expect(try await list(limited, query, pages: 2).count == 6)
                    }
                }
                let counted = try await limited.call(
                    .listWorkflows(ListWorkflows(query: ListQuery(limit: 1), withCounts: true)))
                guard case .listWorkflows(let reply) = counted else {
                    Issue.record("\(counted)")
                    return
                }
                #expect(reply.counts?.values.reduce(0, +) == own.count)
                let found = try await limited.call(.resolveID(ResolveID(prefix: "w-0", limit: 100)))
                #expect(
                    found
                        == .resolveID(ResolveReply(workflowIDs: own.filter { $0.rawValue.hasPrefix("w-0") })))
                let few = try await limited.call(.resolveID(ResolveID(prefix: "w-", limit: 2)))
                #expect(few == .resolveID(ResolveReply(workflowIDs: Array(own.prefix(2)))))
                _ = try await limited.info()
                // The examination asks for what the caller's own workflows need.
                let examined = try await limited.call(.diagnose, timeout: 20_000)
                guard case .diagnose(let reply) = examined else {
                    Issue.record("\(examined)")
                    return
                }
                #expect(!"\(reply)".contains("foreign"))
            }
        }

        private func list(_ peer: RawPeer, _ query: ListQuery, pages: Int) async throws -> [WorkflowID] {
            var ids: [WorkflowID] = []
            var query = query
            for page in 1...pages {
                let reply = try await peer.call(.listWorkflows(ListWorkflows(query: query)))
                guard case .listWorkflows(let list) = reply else { throw RawPeer.Trouble.unexpected(.reply(reply)) }
                ids += list.page.rows.map(\.id)
                #expect((list.page.next == nil) == (page == pages), "page \(page) of \(pages)")
                query.cursor = list.page.next
            }
            return ids
        }

        @Test func watchesByFilter() async throws {
            try await with(.read) { rig, admin, limited in
                let before = try await admin.start(Rig.gated(id: "own-1", appID: "own"))
                _ = try await admin.start(Rig.gated(id: "foreign-1", appID: "foreign"))
                let all = try await limited.begin(.watchProgress(WatchProgress(filter: WorkflowFilter())))
                let theirs = try await limited.begin(
                    .watchProgress(WatchProgress(filter: WorkflowFilter(appID: "foreign"))))
                #expect(try await id(limited, all) == before.id)
                _ = try await admin.start(Rig.gated(id: "foreign-2", appID: "foreign"))
                rig.gates.succeed("foreign-1", "one")
                try await admin.until("foreign-1", is: .success)
                let after = try await admin.start(Rig.gated(id: "own-2", appID: "own too"))
                var seen: Set<WorkflowID> = []
                while !seen.contains(after.id) { seen.insert(try await id(limited, all)) }
                #expect(seen.isSubset(of: [before.id, after.id]))
                try await limited.send(ClientFrame(callID: theirs, body: .cancel))
                #expect(try await limited.failure(of: theirs).code == .cancelled, "and nothing came before that")
            }
        }

        /// To the one who may not see it, it is gone; to others nothing happens.
        @Test func aForeignTargetBesideAFilter() async throws {
            try await with(.read) { rig, admin, limited in
                let foreign = try await admin.start(Rig.gated(appID: "foreign"))
                try await admin.until(foreign.id, is: .started)
                let version = try await admin.status(foreign.id).version
                let watch = try await admin.begin(
                    .watchProgress(WatchProgress(targets: [WatchTarget(workflowID: foreign.id, afterVersion: version)]))
                )
                _ = try await admin.info()
                let target = WatchTarget(workflowID: foreign.id, afterVersion: 1)
                let call = try await limited.begin(
                    .watchProgress(WatchProgress(targets: [target], filter: WorkflowFilter())))
                guard case .watchEvent(.deleted(let id)) = try await limited.next(of: call) else {
                    Issue.record("not told as deleted")
                    return
                }
                #expect(id == foreign.id)
                rig.gates.succeed(foreign.id, "one")
                guard case .watchEvent(.transition(let event)) = try await admin.next(of: watch) else {
                    Issue.record("the other watch was disturbed")
                    return
                }
                #expect(event.version == version + 1)
                #expect(try await admin.isSilent(for: .milliseconds(100)), "nobody else is told that it is deleted")
                #expect(try await limited.isSilent(for: .milliseconds(100)))
            }
        }

        private func id(_ peer: RawPeer, _ call: UInt64) async throws -> WorkflowID {
            while true {
                switch try await peer.next(of: call) {
                case .watchEvent(.snapshot(let snapshot)): return snapshot.summary.id
                case .watchEvent(.transition(let event)): return event.workflowID
                case .watchEvent(.progress(let update)): return update.workflowID
                case .watchEvent(.bookmark): continue
                case let other: throw RawPeer.Trouble.unexpected(other)
                }
            }
        }
    }
}
