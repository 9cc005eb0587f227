import RhythmCore
import RhythmMongo

/// A document in `workflow_meta` that belongs to one attempt: what a task based on the library's `WorkflowTask` may load
/// and rewrite without harm. It has one step, so nothing comes after it.
///
/// Written before the message is sent; a crash between the two leaves a document that nobody uses and that is swept
/// later. Deleted some time after the attempt's end, because the task rewrites it after its result was stored.
enum PrivateDocument {
    /// The collection that `WorkflowTask` uses, beside the results.
    static let collection = "workflow_meta"
    /// The field by which readers of the collection can leave these documents out.
    static let marker = "rhythm_private"
    /// No workflow has an id that begins so.
    private static let prefix = "rhythm:"

    /// The id of an attempt's document.
    static func id(of task: TaskID) -> String { prefix + task.rawValue }

    /// The attempt that a document belongs to; nil if the id is that of something else.
    static func task(of id: String) -> TaskID? {
        id.hasPrefix(prefix) ? TaskID(String(id.dropFirst(prefix.count))) : nil
    }

    /// The document of an attempt.
    ///
    /// - Parameters:
    ///   - server: who may sweep it.
    static func make(of dispatch: Dispatch, server: String, at now: Timestamp) -> BSONDocument {
        [
            "_id": .string(id(of: dispatch.taskID)),
            "created_at": .date(milliseconds: now.microseconds / 1000),
            // Names of their own, so that readers which filter by these fields do not mistake it for a workflow.
            "name": "rhythm attempt", "app_id": "rhythm:attempt", "description": .null, "_status": "PENDING",
            "steps": .array([.document(["name": .string(dispatch.step), "task": .string(dispatch.task)])]),
            marker: .document([
                "server": .string(server), "workflow_id": .string(dispatch.workflowID.rawValue),
                "app_id": .string(dispatch.appID), "step": .string(dispatch.step),
            ]),
        ]
    }

    /// The keyword arguments of an attempt that was given a document of its own.
    static func kwargs(of dispatch: Dispatch) -> JSON {
        let injected = JSONValue.object([.init("workflow_id", .string(id(of: dispatch.taskID)))])
        return JSON(dispatch.injectedKwargs.value.merging(injected))
    }
}
