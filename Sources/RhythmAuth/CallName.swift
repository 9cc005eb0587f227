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
    case diagnose
}
