import RhythmAuth
import RhythmCore
import Testing

@Suite(.timeLimit(.minutes(1))) struct AuthorizationTableTests {
    /// Written down a second time and by hand: the table is changed in two places or not at all.
    private static let leastRole: [CallName: Role] = [
        .getStatus: .read, .watchProgress: .read, .tailLog: .read, .listWorkflows: .read, .resolveID: .read,
        .getServerInfo: .read, .diagnose: .read, .startWorkflow: .operate, .pauseWorkflow: .operate,
        .resumeWorkflow: .operate,
        .cancelWorkflow: .operate, .adoptWorkflows: .operate,
        .deleteWorkflow: .admin, .getConnections: .admin, .getStats: .read,
        .listServers: .read, .drainServer: .admin,
    ]

    /// Calls that are about no workflow.
    private static let ofTheServer: Set<CallName> = [
        .getServerInfo, .getConnections, .getStats, .listServers, .drainServer,
    ]
    /// Those among them that concern the applications and people of others.
    private static let ofEverybody: Set<CallName> = [.getConnections, .drainServer]

    @Test func everyCallHasAPlaceOfItsOwn() {
        #expect(CallName.allCases.map(\.index) == Array(0..<CallName.allCases.count))
    }

    @Test(arguments: CallName.allCases, Role.allCases)
    func everyCallAsEveryRole(call: CallName, role: Role) throws {
        let least = try #require(Self.leastRole[call])
        for scope in [AppScope.all, .only(["own"]), .only(["own", "second"]), .only([])] {
            for appID in ["own", "foreign"] {
                let caller = Caller(.token(id: "0123456789ab", name: "t"), role: role, scope: scope)
                let decision = AuthorizationTable.decide(call, appID: appID, for: caller)
                guard role >= least else {
                    guard case .refused(let error) = decision else {
                        Issue.record("\(call) as \(role): \(decision)")
                        continue
                    }
                    #expect(error.code == .permissionDenied && error.reason == "ROLE")
                    #expect(error.message.contains(least.rawValue) && error.message.contains(call.rawValue))
                    continue
                }
                if call == .startWorkflow, !scope.contains(appID) {
                    guard case .refused(let error) = decision else {
                        Issue.record("\(call) for \(appID) within \(scope): \(decision)")
                        continue
                    }
                    #expect(error.code == .permissionDenied && error.reason == "APP_ID")
                    #expect(error.field == "spec.app_id" && error.message.contains("'\(appID)'"))
                    if scope != .only([]) { #expect(error.message.contains("'own'"), "it says what is allowed") }
                } else if Self.ofEverybody.contains(call), scope != .all {
                    guard case .refused(let error) = decision else {
                        Issue.record("\(call) within \(scope): \(decision)")
                        continue
                    }
                    #expect(error.code == .permissionDenied && error.reason == "SCOPE")
                    #expect(error.message.contains(scope == .only([]) ? "none" : "'own'"), "it says what is allowed")
                } else if Self.ofTheServer.contains(call) {
                    #expect(decision == .allowed(within: .all))
                } else {
                    #expect(decision == .allowed(within: scope), "nothing outside of the caller's scope is found")
                }
            }
        }
    }

    @Test func rolesAreInOrder() {
        #expect(Role.read < .operate && Role.operate < .admin && !(Role.admin < .admin))
    }

    @Test func whoHasNotBeenLetInMayDoNothingToWorkflows() {
        for call in CallName.allCases where !Self.ofTheServer.contains(call) {
            switch AuthorizationTable.decide(call, appID: "x", for: .nobody) {
            case .refused: break
            case .allowed(let scope): #expect(scope == .only([]), "\(call)")
            }
        }
    }
}
