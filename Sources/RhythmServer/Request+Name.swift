import RhythmAuth
import RhythmCore
import RhythmWire

extension Request {
    /// The name under which its authorisation is decided.
    var name: CallName {
        switch self {
        case .startWorkflow: .startWorkflow
        case .pauseWorkflow: .pauseWorkflow
        case .resumeWorkflow: .resumeWorkflow
        case .cancelWorkflow: .cancelWorkflow
        case .deleteWorkflow: .deleteWorkflow
        case .getStatus: .getStatus
        case .listWorkflows: .listWorkflows
        case .resolveID: .resolveID
        case .watchProgress: .watchProgress
        case .tailLog: .tailLog
        case .getServerInfo: .getServerInfo
        case .diagnose: .diagnose
        case .getConnections: .getConnections
        case .getStats: .getStats
        case .listServers: .listServers
        case .drainServer: .drainServer
        case .adoptWorkflows: .adoptWorkflows
        }
    }

    /// The application that it names; nil if it names none.
    var appID: String? {
        if case .startWorkflow(let start) = self { start.spec.appID } else { nil }
    }
}
