import CRhythmProto
import RhythmCore

extension ServerFrame {
    /// Reads what protobuf-c unpacked; nil if the body is of a kind that this version does not know.
    static func read(_ c: UnsafeMutablePointer<Rhythm__ServerFrame>) throws(FieldError) -> ServerFrame? {
        guard let body = try ServerBody(from: c) else { return nil }
        return ServerFrame(callID: c.pointee.call_id, body: body)
    }
}

extension ServerBody {
    fileprivate init?(from c: UnsafeMutablePointer<Rhythm__ServerFrame>) throws(FieldError) {
        switch c.pointee.body_case {
        case RHYTHM__SERVER_FRAME__BODY_HELLO_REPLY:
            self = .helloReply(try required(c.pointee.hello_reply, "hello_reply"))
        case RHYTHM__SERVER_FRAME__BODY_GO_AWAY: self = .goAway(try required(c.pointee.go_away, "go_away"))
        case RHYTHM__SERVER_FRAME__BODY_PING: self = .ping(c.pointee.ping?.pointee.data ?? 0)
        case RHYTHM__SERVER_FRAME__BODY_PONG: self = .pong(c.pointee.pong?.pointee.data ?? 0)
        case RHYTHM__SERVER_FRAME__BODY_STATUS:
            let status: CallStatus = try required(c.pointee.status, "status")
            self = .status(status.error)
        case RHYTHM__SERVER_FRAME__BODY_WATCH_EVENT:
            self = .watchEvent(try required(c.pointee.watch_event, "watch_event"))
        case RHYTHM__SERVER_FRAME__BODY_LOG_DATA: self = .logData(try required(c.pointee.log_data, "log_data"))
        default:
            guard let reply = try Reply(from: c) else { return nil }
            self = .reply(reply)
        }
    }

    /// The frame with call id 0, which protobuf leaves out: so the bytes are those of the body alone.
    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__ServerFrame> {
        let c = arena.make(rhythm__server_frame__init)
        switch self {
        case .helloReply(let reply):
            c.pointee.body_case = RHYTHM__SERVER_FRAME__BODY_HELLO_REPLY
            c.pointee.hello_reply = reply.write(in: arena)
        case .goAway(let goAway):
            c.pointee.body_case = RHYTHM__SERVER_FRAME__BODY_GO_AWAY
            c.pointee.go_away = goAway.write(in: arena)
        case .ping(let data):
            c.pointee.body_case = RHYTHM__SERVER_FRAME__BODY_PING
            c.pointee.ping = arena.make(rhythm__ping__init)
            c.pointee.ping.pointee.data = data
        case .pong(let data):
            c.pointee.body_case = RHYTHM__SERVER_FRAME__BODY_PONG
            c.pointee.pong = arena.make(rhythm__pong__init)
            c.pointee.pong.pointee.data = data
        case .status(let error):
            c.pointee.body_case = RHYTHM__SERVER_FRAME__BODY_STATUS
            c.pointee.status = CallStatus(error).write(in: arena)
        case .watchEvent(let event):
            c.pointee.body_case = RHYTHM__SERVER_FRAME__BODY_WATCH_EVENT
            c.pointee.watch_event = event.write(in: arena)
        case .logData(let data):
            c.pointee.body_case = RHYTHM__SERVER_FRAME__BODY_LOG_DATA
            c.pointee.log_data = data.write(in: arena)
        case .reply(let reply): reply.write(to: c, in: arena)
        }
        return c
    }
}

extension Reply {
    fileprivate init?(from c: UnsafeMutablePointer<Rhythm__ServerFrame>) throws(FieldError) {
        switch c.pointee.body_case {
        case RHYTHM__SERVER_FRAME__BODY_START_REPLY:
            self = .startWorkflow(try required(c.pointee.start_reply, "start_reply"))
        case RHYTHM__SERVER_FRAME__BODY_PAUSE_REPLY:
            self = .pauseWorkflow(try required(c.pointee.pause_reply, "pause_reply"))
        case RHYTHM__SERVER_FRAME__BODY_RESUME_REPLY:
            self = .resumeWorkflow(try required(c.pointee.resume_reply, "resume_reply"))
        case RHYTHM__SERVER_FRAME__BODY_CANCEL_REPLY:
            self = .cancelWorkflow(try required(c.pointee.cancel_reply, "cancel_reply"))
        case RHYTHM__SERVER_FRAME__BODY_DELETE_REPLY:
            self = .deleteWorkflow(try required(c.pointee.delete_reply, "delete_reply"))
        case RHYTHM__SERVER_FRAME__BODY_GET_STATUS_REPLY:
            self = .getStatus(try required(c.pointee.get_status_reply, "get_status_reply"))
        case RHYTHM__SERVER_FRAME__BODY_LIST_REPLY:
            self = .listWorkflows(try required(c.pointee.list_reply, "list_reply"))
        case RHYTHM__SERVER_FRAME__BODY_RESOLVE_REPLY:
            self = .resolveID(try required(c.pointee.resolve_reply, "resolve_reply"))
        case RHYTHM__SERVER_FRAME__BODY_ADOPT_REPLY:
            self = .adoptWorkflows(try required(c.pointee.adopt_reply, "adopt_reply"))
        case RHYTHM__SERVER_FRAME__BODY_SERVER_INFO:
            self = .getServerInfo(try required(c.pointee.server_info, "server_info"))
        case RHYTHM__SERVER_FRAME__BODY_DIAGNOSE_REPLY:
            self = .diagnose(try required(c.pointee.diagnose_reply, "diagnose_reply"))
        case RHYTHM__SERVER_FRAME__BODY_CONNECTION_LIST:
            let list: ConnectionList = try required(c.pointee.connection_list, "connection_list")
            self = .getConnections(list.connections)
        case RHYTHM__SERVER_FRAME__BODY_SERVER_STATS:
            self = .getStats(try required(c.pointee.server_stats, "server_stats"))
        case RHYTHM__SERVER_FRAME__BODY_SERVER_LIST:
            let list: ServerList = try required(c.pointee.server_list, "server_list")
            self = .listServers(list.servers)
        case RHYTHM__SERVER_FRAME__BODY_DRAIN_REPLY:
            self = .drainServer(try required(c.pointee.drain_reply, "drain_reply"))
        default: return nil
        }
    }

    fileprivate func write(to c: UnsafeMutablePointer<Rhythm__ServerFrame>, in arena: Arena) {
        switch self {
        case .startWorkflow(let reply):
            c.pointee.body_case = RHYTHM__SERVER_FRAME__BODY_START_REPLY
            c.pointee.start_reply = reply.write(in: arena)
        case .pauseWorkflow(let reply):
            c.pointee.body_case = RHYTHM__SERVER_FRAME__BODY_PAUSE_REPLY
            c.pointee.pause_reply = reply.write(in: arena)
        case .resumeWorkflow(let reply):
            c.pointee.body_case = RHYTHM__SERVER_FRAME__BODY_RESUME_REPLY
            c.pointee.resume_reply = reply.write(in: arena)
        case .cancelWorkflow(let reply):
            c.pointee.body_case = RHYTHM__SERVER_FRAME__BODY_CANCEL_REPLY
            c.pointee.cancel_reply = reply.write(in: arena)
        case .deleteWorkflow(let reply):
            c.pointee.body_case = RHYTHM__SERVER_FRAME__BODY_DELETE_REPLY
            c.pointee.delete_reply = reply.write(in: arena)
        case .getStatus(let reply):
            c.pointee.body_case = RHYTHM__SERVER_FRAME__BODY_GET_STATUS_REPLY
            c.pointee.get_status_reply = reply.write(in: arena)
        case .listWorkflows(let reply):
            c.pointee.body_case = RHYTHM__SERVER_FRAME__BODY_LIST_REPLY
            c.pointee.list_reply = reply.write(in: arena)
        case .resolveID(let reply):
            c.pointee.body_case = RHYTHM__SERVER_FRAME__BODY_RESOLVE_REPLY
            c.pointee.resolve_reply = reply.write(in: arena)
        case .adoptWorkflows(let reply):
            c.pointee.body_case = RHYTHM__SERVER_FRAME__BODY_ADOPT_REPLY
            c.pointee.adopt_reply = reply.write(in: arena)
        case .getServerInfo(let info):
            c.pointee.body_case = RHYTHM__SERVER_FRAME__BODY_SERVER_INFO
            c.pointee.server_info = info.write(in: arena)
        case .diagnose(let reply):
            c.pointee.body_case = RHYTHM__SERVER_FRAME__BODY_DIAGNOSE_REPLY
            c.pointee.diagnose_reply = reply.write(in: arena)
        case .getConnections(let connections):
            c.pointee.body_case = RHYTHM__SERVER_FRAME__BODY_CONNECTION_LIST
            c.pointee.connection_list = ConnectionList(connections: connections).write(in: arena)
        case .getStats(let stats):
            c.pointee.body_case = RHYTHM__SERVER_FRAME__BODY_SERVER_STATS
            c.pointee.server_stats = stats.write(in: arena)
        case .listServers(let servers):
            c.pointee.body_case = RHYTHM__SERVER_FRAME__BODY_SERVER_LIST
            c.pointee.server_list = ServerList(servers: servers).write(in: arena)
        case .drainServer(let reply):
            c.pointee.body_case = RHYTHM__SERVER_FRAME__BODY_DRAIN_REPLY
            c.pointee.drain_reply = reply.write(in: arena)
        }
    }
}
