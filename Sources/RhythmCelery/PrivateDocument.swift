import RhythmCore
import RhythmMongo

extension Injection {
    /// A task of the library's that is given this acts on a workflow, so it needs a document.
    var suitsDocument: Bool { isSuperset(of: [.workflowID, .step]) }
}

extension CeleryConfiguration {
    /// An attempt as its task wants it.
    func asInjected(_ dispatch: Dispatch) -> Dispatch {
        guard uninjectedTasks.contains(dispatch.task) else { return dispatch }
        var dispatch = dispatch
        dispatch.inject = []
        return dispatch
    }
}

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

    /// The id of the document that is made for an attempt.
    static func id(of task: TaskID) -> String { prefix + task.rawValue }

    /// The ids of the documents that are made together with that of an attempt, one for each step that comes after its
    /// own (``SpareDocuments``).
    static func spareIDs(of dispatch: Dispatch) -> [(step: Dispatch.Following, id: String)] {
        dispatch.following.enumerated().map { ($0.element, "\(id(of: dispatch.taskID)):\($0.offset + 1)") }
    }

    /// The attempt that a document was made for; nil if the id is that of a spare one, or of something else.
    static func task(of id: String) -> TaskID? {
        guard id.hasPrefix(prefix) else { return nil }
        let task = id.dropFirst(prefix.count)
        return task.contains(":") ? nil : TaskID(String(task))
    }

    /// The attempt that has begun with a document: tasks write down that they do. Nil if none has.
    static func begun(by document: BSONDocument) -> TaskID? {
        let runs = document["steps"]?.arrayValue?.first?.documentValue?["task_runs"]?.arrayValue
        return (runs?.last?.documentValue?["task_id"]?.stringValue).map { TaskID($0) }
    }

    /// The documents of an attempt: its own, and the spare ones.
    static func make(of dispatch: Dispatch, withSpares: Bool, server: String, at now: Timestamp) -> [BSONDocument] {
        func document(_ id: String, step: String, task: String) -> BSONDocument {
            [
                "_id": .string(id), "created_at": .date(milliseconds: now.microseconds / 1000),
                // Names of their own, so that readers which filter by these fields do not mistake it for a workflow.
                "name": "rhythm attempt", "app_id": "rhythm:attempt", "description": .null, "_status": "PENDING",
                "steps": .array([.document(["name": .string(step), "task": .string(task)])]),
                marker: .document([
                    "server": .string(server), "workflow_id": .string(dispatch.workflowID.rawValue),
                    "app_id": .string(dispatch.appID), "step": .string(step),
                ]),
            ]
        }
        let own = document(id(of: dispatch.taskID), step: dispatch.step, task: dispatch.task)
        guard withSpares else { return [own] }
        return [own] + spareIDs(of: dispatch).map { document($0.id, step: $0.step.name, task: $0.step.task) }
    }

    /// The keyword arguments of an attempt of such a task that gets no document: without `step` the library's class
    /// reads and writes nothing. A process in which the same task ran with one before still has that workflow in mind,
    /// and fails at the end.
    static func bareKwargs(of dispatch: Dispatch) -> JSON {
        let kwargs = dispatch.injectedKwargs
        guard dispatch.inject.contains(.step), case .object(let members) = kwargs.value else { return kwargs }
        return JSON(.object(members.filter { $0.name != "step" }))
    }

    /// Keyword arguments with which the library's class does nothing: it needs both names.
    static func namesNoWorkflow(_ kwargs: JSON) -> Bool {
        kwargs.value["workflow_id"] == nil || kwargs.value["step"] == nil
    }

    /// The keyword arguments of an attempt that was given a document.
    static func kwargs(of dispatch: Dispatch, document: String) -> JSON {
        let injected = JSONValue.object([.init("workflow_id", .string(document))])
        return JSON(dispatch.injectedKwargs.value.merging(injected))
    }
}
