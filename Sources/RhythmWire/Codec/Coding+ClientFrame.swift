import CRhythmProto
import RhythmCore

extension ClientFrame {
    /// What a frame may carry beside its body.
    private enum MetadataLimits {
        static let entries = 16
        static let bytes = 4096
    }

    /// Reads what protobuf-c unpacked; nil if the body is of a kind that this version does not know.
    static func read(_ c: UnsafeMutablePointer<Rhythm__ClientFrame>) throws(FieldError) -> ClientFrame? {
        guard let body = try ClientBody(from: c) else { return nil }
        let metadata: [Metadata] = try list(c.pointee.n_metadata, c.pointee.metadata, "metadata")
        guard metadata.count <= MetadataLimits.entries,
            metadata.reduce(0, { $0 + $1.key.utf8.count + $1.value.utf8.count }) <= MetadataLimits.bytes
        else {
            throw .value("metadata", "at most \(MetadataLimits.entries) entries and \(MetadataLimits.bytes) bytes")
        }
        return ClientFrame(
            callID: c.pointee.call_id, timeoutMilliseconds: c.pointee.timeout_ms, metadata: metadata, body: body)
    }

    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__ClientFrame> {
        let c = arena.make(rhythm__client_frame__init)
        c.pointee.call_id = callID
        c.pointee.timeout_ms = timeoutMilliseconds
        (c.pointee.n_metadata, c.pointee.metadata) = arena.list(metadata)
        switch body {
        case .hello(let hello):
            c.pointee.body_case = RHYTHM__CLIENT_FRAME__BODY_HELLO
            c.pointee.hello = hello.write(in: arena)
        case .cancel:
            c.pointee.body_case = RHYTHM__CLIENT_FRAME__BODY_CANCEL
            c.pointee.cancel = arena.make(rhythm__cancel__init)
        case .ping(let data):
            c.pointee.body_case = RHYTHM__CLIENT_FRAME__BODY_PING
            c.pointee.ping = arena.make(rhythm__ping__init)
            c.pointee.ping.pointee.data = data
        case .pong(let data):
            c.pointee.body_case = RHYTHM__CLIENT_FRAME__BODY_PONG
            c.pointee.pong = arena.make(rhythm__pong__init)
            c.pointee.pong.pointee.data = data
        case .call(let request): request.write(to: c, in: arena)
        }
        return c
    }
}

extension ClientBody {
    fileprivate init?(from c: UnsafeMutablePointer<Rhythm__ClientFrame>) throws(FieldError) {
        switch c.pointee.body_case {
        case RHYTHM__CLIENT_FRAME__BODY_HELLO: self = .hello(try required(c.pointee.hello, "hello"))
        case RHYTHM__CLIENT_FRAME__BODY_CANCEL: self = .cancel
        case RHYTHM__CLIENT_FRAME__BODY_PING: self = .ping(c.pointee.ping?.pointee.data ?? 0)
        case RHYTHM__CLIENT_FRAME__BODY_PONG: self = .pong(c.pointee.pong?.pointee.data ?? 0)
        default:
            guard let request = try Request(from: c) else { return nil }
            self = .call(request)
        }
    }
}

extension Request {
    /// Paths of fields begin inside the request.
    fileprivate init?(from c: UnsafeMutablePointer<Rhythm__ClientFrame>) throws(FieldError) {
        switch c.pointee.body_case {
        case RHYTHM__CLIENT_FRAME__BODY_START_WORKFLOW:
            self = .startWorkflow(try required(c.pointee.start_workflow, "start_workflow", path: ""))
        case RHYTHM__CLIENT_FRAME__BODY_PAUSE_WORKFLOW:
            self = .pauseWorkflow(try required(c.pointee.pause_workflow, "pause_workflow", path: ""))
        case RHYTHM__CLIENT_FRAME__BODY_RESUME_WORKFLOW:
            self = .resumeWorkflow(try required(c.pointee.resume_workflow, "resume_workflow", path: ""))
        case RHYTHM__CLIENT_FRAME__BODY_CANCEL_WORKFLOW:
            self = .cancelWorkflow(try required(c.pointee.cancel_workflow, "cancel_workflow", path: ""))
        case RHYTHM__CLIENT_FRAME__BODY_DELETE_WORKFLOW:
            self = .deleteWorkflow(try required(c.pointee.delete_workflow, "delete_workflow", path: ""))
        case RHYTHM__CLIENT_FRAME__BODY_GET_STATUS:
            self = .getStatus(try required(c.pointee.get_status, "get_status", path: ""))
        case RHYTHM__CLIENT_FRAME__BODY_LIST_WORKFLOWS:
            self = .listWorkflows(try required(c.pointee.list_workflows, "list_workflows", path: ""))
        case RHYTHM__CLIENT_FRAME__BODY_RESOLVE_ID:
            self = .resolveID(try required(c.pointee.resolve_id, "resolve_id", path: ""))
        case RHYTHM__CLIENT_FRAME__BODY_WATCH_PROGRESS:
            self = .watchProgress(try required(c.pointee.watch_progress, "watch_progress", path: ""))
        case RHYTHM__CLIENT_FRAME__BODY_TAIL_LOG:
            self = .tailLog(try required(c.pointee.tail_log, "tail_log", path: ""))
        case RHYTHM__CLIENT_FRAME__BODY_ADOPT_WORKFLOWS:
            self = .adoptWorkflows(try required(c.pointee.adopt_workflows, "adopt_workflows", path: ""))
        case RHYTHM__CLIENT_FRAME__BODY_GET_SERVER_INFO: self = .getServerInfo
        case RHYTHM__CLIENT_FRAME__BODY_DIAGNOSE: self = .diagnose
        case RHYTHM__CLIENT_FRAME__BODY_GET_CONNECTIONS: self = .getConnections
        case RHYTHM__CLIENT_FRAME__BODY_GET_STATS: self = .getStats
        case RHYTHM__CLIENT_FRAME__BODY_LIST_SERVERS: self = .listServers
        case RHYTHM__CLIENT_FRAME__BODY_DRAIN_SERVER:
            self = .drainServer(undo: (c.pointee.drain_server?.pointee.undo ?? 0) != 0)
        default: return nil
        }
    }

    fileprivate func write(to c: UnsafeMutablePointer<Rhythm__ClientFrame>, in arena: Arena) {
        switch self {
        case .startWorkflow(let request):
            c.pointee.body_case = RHYTHM__CLIENT_FRAME__BODY_START_WORKFLOW
            c.pointee.start_workflow = request.write(in: arena)
        case .pauseWorkflow(let request):
            c.pointee.body_case = RHYTHM__CLIENT_FRAME__BODY_PAUSE_WORKFLOW
            c.pointee.pause_workflow = request.write(in: arena)
        case .resumeWorkflow(let request):
            c.pointee.body_case = RHYTHM__CLIENT_FRAME__BODY_RESUME_WORKFLOW
            c.pointee.resume_workflow = request.write(in: arena)
        case .cancelWorkflow(let request):
            c.pointee.body_case = RHYTHM__CLIENT_FRAME__BODY_CANCEL_WORKFLOW
            c.pointee.cancel_workflow = request.write(in: arena)
        case .deleteWorkflow(let request):
            c.pointee.body_case = RHYTHM__CLIENT_FRAME__BODY_DELETE_WORKFLOW
            c.pointee.delete_workflow = request.write(in: arena)
        case .getStatus(let request):
            c.pointee.body_case = RHYTHM__CLIENT_FRAME__BODY_GET_STATUS
            c.pointee.get_status = request.write(in: arena)
        case .listWorkflows(let request):
            c.pointee.body_case = RHYTHM__CLIENT_FRAME__BODY_LIST_WORKFLOWS
            c.pointee.list_workflows = request.write(in: arena)
        case .resolveID(let request):
            c.pointee.body_case = RHYTHM__CLIENT_FRAME__BODY_RESOLVE_ID
            c.pointee.resolve_id = request.write(in: arena)
        case .watchProgress(let request):
            c.pointee.body_case = RHYTHM__CLIENT_FRAME__BODY_WATCH_PROGRESS
            c.pointee.watch_progress = request.write(in: arena)
        case .tailLog(let request):
            c.pointee.body_case = RHYTHM__CLIENT_FRAME__BODY_TAIL_LOG
            c.pointee.tail_log = request.write(in: arena)
        case .adoptWorkflows(let request):
            c.pointee.body_case = RHYTHM__CLIENT_FRAME__BODY_ADOPT_WORKFLOWS
            c.pointee.adopt_workflows = request.write(in: arena)
        case .getServerInfo:
            c.pointee.body_case = RHYTHM__CLIENT_FRAME__BODY_GET_SERVER_INFO
            c.pointee.get_server_info = arena.make(rhythm__get_server_info__init)
        case .diagnose:
            c.pointee.body_case = RHYTHM__CLIENT_FRAME__BODY_DIAGNOSE
            c.pointee.diagnose = arena.make(rhythm__diagnose__init)
        case .getConnections:
            c.pointee.body_case = RHYTHM__CLIENT_FRAME__BODY_GET_CONNECTIONS
            c.pointee.get_connections = arena.make(rhythm__get_connections__init)
        case .getStats:
            c.pointee.body_case = RHYTHM__CLIENT_FRAME__BODY_GET_STATS
            c.pointee.get_stats = arena.make(rhythm__get_stats__init)
        case .listServers:
            c.pointee.body_case = RHYTHM__CLIENT_FRAME__BODY_LIST_SERVERS
            c.pointee.list_servers = arena.make(rhythm__list_servers__init)
        case .drainServer(let undo):
            c.pointee.body_case = RHYTHM__CLIENT_FRAME__BODY_DRAIN_SERVER
            c.pointee.drain_server = arena.make(rhythm__drain_server__init)
            c.pointee.drain_server.pointee.undo = flag(undo)
        }
    }
}
