import CRhythmProto
import RhythmCore

/// An enum with numbers on the wire. Only the way there is written down; the way back is a search in it.
protocol WireNumbered: CaseIterable {
    /// What protoc-c made of the enum.
    associatedtype Number: RawRepresentable where Number.RawValue: Equatable
    /// The number.
    var wire: Number { get }
}

extension WireNumbered {
    /// The value with this number.
    init(wire: Number, _ field: String) throws(FieldError) {
        for value in Self.allCases where value.wire.rawValue == wire.rawValue {
            self = value
            return
        }
        throw .value(field, "one of the enum's values, not \(wire.rawValue)")
    }
}

extension WorkflowStatus: WireNumbered {
    var wire: Rhythm__WorkflowStatus {
        switch self {
        case .pending: RHYTHM__WORKFLOW_STATUS__WORKFLOW_STATUS_PENDING
        case .started: RHYTHM__WORKFLOW_STATUS__WORKFLOW_STATUS_STARTED
        case .success: RHYTHM__WORKFLOW_STATUS__WORKFLOW_STATUS_SUCCESS
        case .failure: RHYTHM__WORKFLOW_STATUS__WORKFLOW_STATUS_FAILURE
        case .revoked: RHYTHM__WORKFLOW_STATUS__WORKFLOW_STATUS_REVOKED
        }
    }
}

extension TaskStatus: WireNumbered {
    var wire: Rhythm__TaskStatus {
        switch self {
        case .pending: RHYTHM__TASK_STATUS__TASK_STATUS_PENDING
        case .started: RHYTHM__TASK_STATUS__TASK_STATUS_STARTED
        case .success: RHYTHM__TASK_STATUS__TASK_STATUS_SUCCESS
        case .failure: RHYTHM__TASK_STATUS__TASK_STATUS_FAILURE
        case .revoked: RHYTHM__TASK_STATUS__TASK_STATUS_REVOKED
        case .retry: RHYTHM__TASK_STATUS__TASK_STATUS_RETRY
        }
    }
}

extension Event.Kind: WireNumbered {
    var wire: Rhythm__Transition__Kind {
        switch self {
        case .created: RHYTHM__TRANSITION__KIND__KIND_CREATED
        case .dispatched: RHYTHM__TRANSITION__KIND__KIND_DISPATCHED
        case .started: RHYTHM__TRANSITION__KIND__KIND_STARTED
        case .retrying: RHYTHM__TRANSITION__KIND__KIND_RETRYING
        case .succeeded: RHYTHM__TRANSITION__KIND__KIND_SUCCEEDED
        case .failed: RHYTHM__TRANSITION__KIND__KIND_FAILED
        case .retryScheduled: RHYTHM__TRANSITION__KIND__KIND_RETRY_SCHEDULED
        case .revoking: RHYTHM__TRANSITION__KIND__KIND_REVOKING
        case .revoked: RHYTHM__TRANSITION__KIND__KIND_REVOKED
        case .pausing: RHYTHM__TRANSITION__KIND__KIND_PAUSING
        case .paused: RHYTHM__TRANSITION__KIND__KIND_PAUSED
        case .resumed: RHYTHM__TRANSITION__KIND__KIND_RESUMED
        case .cancelled: RHYTHM__TRANSITION__KIND__KIND_CANCELLED
        case .lateReport: RHYTHM__TRANSITION__KIND__KIND_LATE_REPORT
        }
    }
}

extension Revocation.Reason: WireNumbered {
    var wire: Rhythm__Revocation__Reason {
        switch self {
        case .pause: RHYTHM__REVOCATION__REASON__REASON_PAUSE
        case .cancel: RHYTHM__REVOCATION__REASON__REASON_CANCEL
        case .restart: RHYTHM__REVOCATION__REASON__REASON_RESTART
        case .timeout: RHYTHM__REVOCATION__REASON__REASON_TIMEOUT
        }
    }
}

extension RhythmError.Effect: WireNumbered {
    var wire: Rhythm__Effect {
        switch self {
        case .none: RHYTHM__EFFECT__EFFECT_NONE
        case .applied: RHYTHM__EFFECT__EFFECT_APPLIED
        case .unknown: RHYTHM__EFFECT__EFFECT_UNKNOWN
        }
    }
}

extension PauseMode: WireNumbered {
    var wire: Rhythm__PauseMode {
        switch self {
        case .now: RHYTHM__PAUSE_MODE__PAUSE_MODE_NOW
        case .afterStep: RHYTHM__PAUSE_MODE__PAUSE_MODE_AFTER_STEP
        }
    }
}

extension Receipt.Command: WireNumbered {
    var wire: Rhythm__CommandReply__Command {
        switch self {
        case .pause: RHYTHM__COMMAND_REPLY__COMMAND__COMMAND_PAUSE
        case .resume: RHYTHM__COMMAND_REPLY__COMMAND__COMMAND_RESUME
        case .cancel: RHYTHM__COMMAND_REPLY__COMMAND__COMMAND_CANCEL
        }
    }
}

extension DeleteReply: WireNumbered {
    var wire: Rhythm__DeleteReply__Outcome {
        switch self {
        case .deleted: RHYTHM__DELETE_REPLY__OUTCOME__OUTCOME_DELETED
        case .pending: RHYTHM__DELETE_REPLY__OUTCOME__OUTCOME_PENDING
        }
    }
}

extension ListQuery.Sort: WireNumbered {
    var wire: Rhythm__ListWorkflows__Sort {
        switch self {
        case .createdAt: RHYTHM__LIST_WORKFLOWS__SORT__SORT_CREATED_AT
        case .updatedAt: RHYTHM__LIST_WORKFLOWS__SORT__SORT_UPDATED_AT
        }
    }
}

extension ServerInfo.Health: WireNumbered {
    var wire: Rhythm__Health {
        switch self {
        case .serving: RHYTHM__HEALTH__HEALTH_SERVING
        case .degraded: RHYTHM__HEALTH__HEALTH_DEGRADED
        case .notServing: RHYTHM__HEALTH__HEALTH_NOT_SERVING
        }
    }
}
