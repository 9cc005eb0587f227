package import RhythmCore

/// Who may do what. This is the only place where that is decided; there is no other rule.
///
/// A call is for a role and the roles above it (``Role``). Who has less is refused with PERMISSION_DENIED (reason ROLE)
/// before anything is looked at, so the refusal tells nothing about any workflow. Beyond that it counts whose workflow
/// it is: whether its `app_id` is in the caller's scope, as ``About`` says.
package enum AuthorizationTable {
    // swift-format-ignore
    package static func rule(for call: CallName) -> Rule {
        switch call {
        //                         from role  about
        case .getStatus:      Rule(.read,     .workflow)
        case .watchProgress:  Rule(.read,     .workflowsAndFilter)
        case .tailLog:        Rule(.read,     .workflow)
        case .listWorkflows:  Rule(.read,     .filter)
        case .resolveID:      Rule(.read,     .filter)
        case .getServerInfo:  Rule(.read,     .server)
        case .diagnose:       Rule(.read,     .filter)
        case .getStats:       Rule(.read,     .server)
        case .listServers:    Rule(.read,     .server)
        case .getConnections: Rule(.admin,    .everybody)
        case .drainServer:    Rule(.admin,    .everybody)
        case .startWorkflow:  Rule(.operate,  .application)
        case .pauseWorkflow:  Rule(.operate,  .workflow)
        case .resumeWorkflow: Rule(.operate,  .workflow)
        case .cancelWorkflow: Rule(.operate,  .workflow)
        case .adoptWorkflows: Rule(.operate,  .workflowsAndFilter)
        case .deleteWorkflow: Rule(.admin,    .workflow)
        }
    }

    /// What a call needs.
    package struct Rule: Sendable, Hashable {
        /// The least role.
        package let role: Role
        /// What it is about.
        package let about: About

        init(_ role: Role, _ about: About) {
            self.role = role
            self.about = about
        }
    }

    /// What a call is about, and so what becomes of one outside of the caller's scope.
    package enum About: Sendable, Hashable {
        /// The workflow that it names. A foreign one is NOT_FOUND, word for word as if it did not exist. Looked at where
        /// the call is carried out, so nothing can change between the look and the deed.
        case workflow
        /// Workflows by a filter, which means only those in scope.
        case filter
        /// Both: a watch, an adoption.
        case workflowsAndFilter
        /// The application that it names. A foreign one is PERMISSION_DENIED (reason APP_ID): its name came from the
        /// caller, so there is nothing to hide.
        case application
        /// The server as a whole: numbers, no workflow. The same for everybody who may ask.
        case server
        /// The server as a whole, and with it the workflows and the people of all applications. Whoever is limited to some is
        /// refused (PERMISSION_DENIED, reason SCOPE).
        case everybody
    }

    /// What becomes of a call.
    package enum Decision: Sendable, Hashable {
        /// It goes on, and finds only workflows within this scope.
        case allowed(within: AppScope)
        case refused(RhythmError)
    }

    /// Decides.
    ///
    /// - Parameter appID: the application that the call names, if it is about one.
    package static func decide(_ call: CallName, appID: String? = nil, for caller: Caller) -> Decision {
        let rule = rule(for: call)
        guard caller.role >= rule.role else {
            return .refused(
                RhythmError(
                    .permissionDenied, reason: "ROLE",
                    "\(caller.description) has the role \(caller.role.rawValue); \(call.rawValue) is for the role"
                        + " \(rule.role.rawValue)" + (rule.role == .admin ? "" : " and above")))
        }
        switch rule.about {
        case .workflow, .filter, .workflowsAndFilter: return .allowed(within: caller.scope)
        case .server: return .allowed(within: .all)
        case .everybody:
            guard case .only(let own) = caller.scope else { return .allowed(within: .all) }
            return .refused(
                RhythmError(
                    .permissionDenied, reason: "SCOPE",
                    "\(caller.description) may act for app_id \(Self.names(own)); \(call.rawValue) concerns all"
                        + " applications"))
        case .application:
            guard let appID, !caller.scope.contains(appID), case .only(let own) = caller.scope else {
                return .allowed(within: caller.scope)
            }
            return .refused(
                RhythmError(
                    .permissionDenied, reason: "APP_ID",
                    "\(caller.description) may act for app_id \(Self.names(own)), not for '\(appID)'",
                    field: "spec.app_id"))
        }
    }

    private static func names(_ apps: Set<String>) -> String {
        apps.isEmpty ? "none" : apps.sorted().map { "'\($0)'" }.joined(separator: ", ")
    }
}
