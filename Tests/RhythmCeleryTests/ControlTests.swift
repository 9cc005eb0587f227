import RhythmAMQP
import RhythmCore
import Testing

@testable import RhythmCelery

/// Remote control, as Celery 5.7 and 5.2.7 speak it.
@Suite struct ControlTests {
    private func value(_ text: String) throws -> JSONValue { try JSON(parsing: text).value }

    @Test func asksLikeCelery() throws {
        let address = ControlRequest.ReplyAddress(exchange: "reply.celery.pidbox", routingKey: "k")
        let message = ControlRequest.query(["a", "b"])
            .message(exchange: "celery.pidbox", ticket: "t-1", replyTo: address)
        #expect(message.exchange == "celery.pidbox" && message.routingKey == "" && !message.mandatory)
        #expect(!message.persistent && message.contentType == "application/json")
        #expect(
            try value(String(decoding: message.body, as: UTF8.self))
                == value(
                    #"{"method": "query_task", "arguments": {"ids": ["a", "b"]}, "destination": null, "#
                        + #""pattern": null, "matcher": null, "ticket": "t-1", "#
                        + #""reply_to": {"exchange": "reply.celery.pidbox", "routing_key": "k"}}"#))
        let revoke = ControlRequest.revoke(["a"], .kill).to(["w1@host"]).message(exchange: "celery.pidbox")
        #expect(
            try value(String(decoding: revoke.body, as: UTF8.self))
                == value(
                    #"{"method": "revoke", "arguments": {"task_id": ["a"], "terminate": true, "signal": "SIGKILL"}, "#
                        + #""destination": ["w1@host"], "pattern": null, "matcher": null}"#))
    }

    @Test func answersAHello() throws {
        let call = ControlCall(
            body: Array(
                #"""
                {"method": "hello", "arguments": {"from_node": "x1@vm", "revoked": []}, "destination": null,
                "pattern": null, "matcher": null, "ticket": "5233c29e",
                "reply_to": {"exchange": "reply.x_ctl.pidbox", "routing_key": "d1dd5a63"}}
                """#.utf8))
        guard case .hello(let node, let ticket, let address) = call else {
            Issue.record("not understood")
            return
        }
        #expect(node == "x1@vm")
        let answer = ControlRequest.helloAnswer(revoked: ["r-1"], from: "s1", ticket: ticket, to: address)
        #expect(answer.exchange == "reply.x_ctl.pidbox" && answer.routingKey == "d1dd5a63" && !answer.mandatory)
        #expect(answer.headers["ticket"] == "5233c29e")
        #expect(
            try value(String(decoding: answer.body, as: UTF8.self))
                == value(#"{"rhythm@s1": {"revoked": ["r-1"], "clock": 1}}"#))
    }

    @Test(arguments: ["", "junk", "[]", "{}", #"{"method":"ping"}"#, #"{"method":"hello"}"#, "\u{FFFD}"])
    func passesOverJunk(_ text: String) {
        #expect(ControlCall(body: Array(text.utf8)) == nil)
        #expect(ControlReply(headers: ["ticket": "t"], body: Array(text.utf8)) == nil || text.contains("method"))
        #expect(ControlReply(headers: [:], body: Array(#"{"w": 1}"#.utf8)) == nil)
        #expect(EventBatch(body: Array(text.utf8)).events.isEmpty)
        #expect(EventBatch(body: [0xFF, 0xFE]).events.isEmpty)
    }

    @Test func readsHoldings() throws {
        let reply = try #require(
            ControlReply(
                headers: ["ticket": "t-1", "clock": .int32(16)],
                body: Array(
                    #"""
                    {"x1@vm": {"f1860ff2": ["active", {"id": "f1860ff2", "worker_pid": 28577}],
                    "383106de": ["reserved", {"worker_pid": null}], "odd": 7}}
                    """#.utf8)))
        #expect(reply.ticket == "t-1" && reply.node == "x1@vm")
        #expect(
            Holding.read(query: reply.value) == [
                "f1860ff2": Holding(state: .active, process: 28577), "383106de": Holding(state: .reserved),
            ])
        let scheduled = try value(#"[{"eta": "2026", "request": {"id": "99c4", "worker_pid": null}}, 7]"#)
        #expect(Holding.read(scheduled: scheduled) == ["99c4": Holding(state: .scheduled)])
        #expect(Holding.read(processes: try value(#"{"pool": {"processes": [28577]}}"#)) == [28577])
        #expect(Holding.read(processes: try value(#"{"pool": {"implementation": "solo"}}"#)) == nil)
    }

    @Test func knowsWhatMayStillRun() {
        #expect(Holding(state: .active).mayRun(in: nil))
        #expect(!Holding(state: .reserved).mayRun(in: [1]))
        // A stubborn task is forgotten by its worker and lives on in its process.
        #expect(Holding(state: .ready, process: 1).mayRun(in: [1, 2]))
        #expect(!Holding(state: .ready, process: 1).mayRun(in: [2]))
        #expect(Holding(state: .ready, process: 1).mayRun(in: nil))
        #expect(!Holding(state: .ready).mayRun(in: nil))
    }

    @Test func readsEvents() throws {
        let batch = EventBatch(
            body: Array(
                #"""
                [{"hostname": "x1@vm", "uuid": "a", "type": "task-received", "timestamp": 1795416166.7},
                {"hostname": "x1@vm", "uuid": "a", "type": "task-started", "timestamp": 1795416166.74002},
                {"hostname": "x1@vm", "uuid": "a", "type": "task-succeeded", "result": "1"},
                {"hostname": "x1@vm", "uuid": "a", "type": "task-progress"}, {"type": "task-sent", "uuid": "a",
                "hostname": "gen@vm"}, {"hostname": "x1@vm", "type": "task-failed"}, 7, {"type": "worker-online"}]
                """#.utf8))
        #expect(
            batch.events == [
                .received("a", worker: "x1@vm"),
                .started("a", worker: "x1@vm", at: Timestamp(microseconds: 1_795_416_166_740_020)),
                .finished("a", .succeeded, worker: "x1@vm"), .changed("a"),
            ])
        // How a run ended, for the case that its document does not say.
        let ends = EventBatch(
            body: Array(
                #"""
                [{"hostname": "w", "uuid": "a", "type": "task-failed", "exception": "ValueError('x')"},
                {"hostname": "w", "uuid": "b", "type": "task-failed"}, {"hostname": "w", "uuid": "c", "type": "task-retried"}]
                """#.utf8))
        #expect(
            ends.events == [
                .finished("a", .failed("ValueError('x')"), worker: "w"), .finished("b", .failed(""), worker: "w"),
                .finished("c", .retried, worker: "w"),
            ])
        func one(_ type: String) -> [EventBatch.Event] {
            EventBatch(body: Array(#"{"hostname": "x1@vm", "type": "\#(type)", "freq": 2.0}"#.utf8)).events
        }
        #expect(one("worker-online") == [.online("x1@vm", .init())])
        #expect(one("worker-heartbeat") == [.alive("x1@vm", .init())])
        #expect(one("worker-offline") == [.offline("x1@vm")])
    }
}
