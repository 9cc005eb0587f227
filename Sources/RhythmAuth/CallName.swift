/// Every call of the protocol, by the name it has there.
package enum CallName: String, Sendable, Hashable, CaseIterable {
    case startWorkflow = "start_workflow"
    case pauseWorkflow = "pause_workflow"
    case resumeWorkflow = "resume_workflow"
    case cancelWorkflow = "cancel_workflow"
    case deleteWorkflow = "delete_workflow"
    case getStatus = "get_status"
    case listWorkflows = "list_workflows"
    case resolveID = "resolve_id"
    case watchProgress = "watch_progress"
    case tailLog = "tail_log"
    case getServerInfo = "get_server_info"
    case adoptWorkflows = "adopt_workflows"
    case diagnose
    case getConnections = "get_connections"
    case getStats = "get_stats"
    case listServers = "list_servers"
    case drainServer = "drain_server"

    /// Its place in ``allCases``: a table of counters is found by it without hashing a name.
    package var index: Int {
        switch self {
        case .startWorkflow: 0
        case .pauseWorkflow: 1
        case .resumeWorkflow: 2
        case .cancelWorkflow: 3
        case .deleteWorkflow: 4
        case .getStatus: 5
        case .listWorkflows: 6
        case .resolveID: 7
        case .watchProgress: 8
        case .tailLog: 9
        case .getServerInfo: 10
        case .adoptWorkflows: 11
        case .diagnose: 12
        case .getConnections: 13
        case .getStats: 14
        case .listServers: 15
        case .drainServer: 16
        }
    }
}
