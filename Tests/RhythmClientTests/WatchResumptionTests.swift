import RhythmClient
import RhythmCore
import RhythmWire
import Testing

@Suite struct WatchResumptionTests {
    /// Cuts the connection after each of the events of a watch in turn: however it is cut, the program sees every
    /// version once and in order.
    @Test(arguments: 0...8)
    func aConnectionThatBreaksAtAnyEventLosesAndDoublesNothing(cut: Int) {
        var rig = MachineRig()
        let script: [(WorkflowID, Int64)] = [
            ("a", 1), ("b", 5), ("a", 2), ("a", 3), ("b", 6), ("b", 7), ("a", 4), ("b", 8),
        ]
        _ = rig.open(.watch("a", "b"))
        _ = rig.connect()
        var told: [String] = []
        var seen: [WorkflowID: Int64] = [:]
        for (index, event) in script.enumerated() {
            if index == cut {
                _ = rig.say(.disconnected("cut"))
                _ = rig.pass(.seconds(10))
                let request = rig.connect().written.last
                let after = ["a", "b"].map { (id: WorkflowID) in "\(id)>\(seen[id].map { "\($0)" } ?? "-")" }
                #expect(request == "call 1 watch " + after.joined(separator: ","))
                // A server that repeats the last version of each does no harm.
                for (id, version) in seen { told += rig.receive(1, Say.transition(id, version)).told }
            }
            let isFirst = seen[event.0] == nil
            seen[event.0] = event.1
            told += rig.receive(1, isFirst ? Say.snapshot(event.0, event.1) : Say.transition(event.0, event.1)).told
        }
        let expected = [
            "1 snapshot a 1", "1 snapshot b 5", "1 transition a 2", "1 transition a 3", "1 transition b 6",
            "1 transition b 7", "1 transition a 4", "1 transition b 8",
        ]
        #expect(told == expected)
    }

    /// The next server may have room for all, and says nothing then.
    @Test func whatWasLeftOutIsTakenBackWithTheNextServer() {
        var rig = MachineRig()
        _ = rig.open(.watch(WatchTracker(WatchProgress(filter: WorkflowFilter(appID: "x"), tellLimit: true))))
        _ = rig.connect()
        #expect(rig.receive(1, .watchEvent(.limited(maxWorkflows: 3, leftOut: 5))).told == ["1 limited 3 5"])
        for round in 0..<2 {
            #expect(rig.say(.disconnected("cut")).told == ["1 interrupted"])
            _ = rig.pass(.seconds(10))
            let told = rig.connect().told
            #expect(told == (round == 0 ? ["1 limited 3 0"] : []), "once")
        }
        #expect(rig.receive(1, .watchEvent(.limited(maxWorkflows: 3, leftOut: 1))).told == ["1 limited 3 1"])
        #expect(rig.receive(1, .watchEvent(.limited(maxWorkflows: 3, leftOut: 0))).told == ["1 limited 3 0"])
        _ = rig.say(.disconnected("cut"))
        _ = rig.pass(.seconds(10))
        #expect(rig.connect().told == [])
    }

    @Test func aFilterWatchNamesWhatWasNotDoneAndDropsWhatWasSeen() {
        var rig = MachineRig()
        _ = rig.open(.watch(WatchTracker(WatchProgress(filter: WorkflowFilter(appID: "x")))))
        #expect(rig.connect().written.last == "call 1 watch filter")
        _ = rig.receive(1, Say.snapshot("a", 3))
        _ = rig.receive(1, Say.snapshot("b", 3))
        #expect(rig.say(.disconnected("cut")).connects)
        #expect(rig.connect().written.last == "call 1 watch filtera>3,b>3")
        #expect(rig.receive(1, Say.snapshot("a", 3)).told == [])
        #expect(rig.receive(1, Say.snapshot("b", 5)).told == ["1 snapshot b 5"])
        #expect(rig.receive(1, Say.transition("b", 5)).told == [])
        #expect(rig.receive(1, Say.transition("b", 6)).told == ["1 transition b 6"])
        #expect(rig.receive(1, Say.snapshot("c", 1)).told == ["1 snapshot c 1"])
        #expect(rig.receive(1, Say.transition("b", 7, .success)).told == ["1 transition b 7"])
        #expect(rig.say(.disconnected("cut")).connects)
        #expect(rig.connect().written.last == "call 1 watch filtera>3,c>1")
        #expect(rig.receive(1, Say.transition("a", 4, .success)).told == ["1 transition a 4"])
        #expect(rig.receive(1, .watchEvent(.deleted("c"))).told == ["1 deleted c"])
        #expect(rig.say(.disconnected("cut")).connects)
        #expect(rig.connect().written.last == "call 1 watch filter")
    }

    @Test func aGapIsToldAndItsSnapshotIsTaken() {
        var rig = MachineRig()
        _ = rig.open(.watch("a"))
        _ = rig.connect()
        _ = rig.receive(1, Say.snapshot("a", 3))
        #expect(rig.receive(1, .watchEvent(.gap("a", oldestVersion: 90))).told == ["1 gap a 90"])
        #expect(rig.receive(1, Say.snapshot("a", 95)).told == ["1 snapshot a 95"])
        #expect(rig.receive(1, Say.transition("a", 96)).told == ["1 transition a 96"])
    }

    @Test func aMissingVersionIsAskedForAgain() {
        var rig = MachineRig()
        _ = rig.open(.watch("a"))
        _ = rig.connect()
        _ = rig.receive(1, Say.snapshot("a", 3))
        let actions = rig.receive(1, Say.transition("a", 5))
        #expect(actions.told == [])
        #expect(actions.written == ["cancel 1", "call 2 watch a>3"])
        #expect(rig.receive(1, Say.transition("a", 6)).told == [], "the old stream is over")
        #expect(rig.receive(2, Say.transition("a", 4)).told == ["1 transition a 4"])
    }

    @Test func aWorkflowThatWasDeletedMeanwhileIsToldAndLeftOut() {
        var rig = MachineRig()
        _ = rig.open(.watch("a", "b"))
        _ = rig.connect()
        _ = rig.receive(1, Say.snapshot("a", 3))
        _ = rig.receive(1, Say.snapshot("b", 4))
        _ = rig.say(.disconnected("cut"))
        _ = rig.connect()
        let gone = rig.receive(1, Say.error(.notFound, "NO_SUCH_WORKFLOW", field: "targets[0].workflow_id"))
        #expect(gone.told == ["1 deleted a"])
        #expect(gone.written == ["call 2 watch b>4"])
        let last = rig.receive(2, Say.error(.notFound, "NO_SUCH_WORKFLOW"))
        #expect(last.told == ["1 deleted b", "1 finished"])
    }

    @Test func aWorkflowThatNeverWasIsAnError() {
        var rig = MachineRig()
        _ = rig.open(.watch("a"))
        _ = rig.connect()
        #expect(rig.receive(1, Say.error(.notFound, "NO_SUCH_WORKFLOW")).told == ["1 NO_SUCH_WORKFLOW"])
    }

    @Test func bookmarksAreNotToldAndTheNormalEndIs() {
        var rig = MachineRig()
        _ = rig.open(.watch("a"))
        _ = rig.connect()
        #expect(rig.receive(1, .watchEvent(.bookmark(at: Timestamp(microseconds: 1)))).told == [])
        #expect(rig.receive(1, .status(nil)).told == ["1 finished"])
    }

    @Test func aSlowReaderParksTheStreamAndLosesNothing() {
        var rig = MachineRig()
        let (key, _) = rig.open(.watch("a"))
        _ = rig.connect()
        _ = rig.receive(1, Say.snapshot("a", 3))
        #expect(rig.say(.congested(key)).written == ["cancel 1"])
        #expect(rig.receive(1, Say.transition("a", 4)).told == [], "what is under way comes again later")
        #expect(rig.say(.relieved(key)).written == ["call 2 watch a>3"])
        #expect(rig.receive(2, Say.transition("a", 4)).told == ["1 transition a 4"])
    }

    @Test func aParkedStreamStaysParkedOverALostConnection() {
        var rig = MachineRig()
        let (key, _) = rig.open(.watch("a"))
        _ = rig.connect()
        _ = rig.receive(1, Say.snapshot("a", 3))
        _ = rig.say(.congested(key))
        #expect(!rig.say(.disconnected("cut")).connects)
        #expect(rig.say(.relieved(key)).connects)
        #expect(rig.connect().written == ["hello", "call 1 watch a>3"])
    }

    @Test func aLogGoesOnWhereItStopped() {
        var rig = MachineRig()
        _ = rig.open(.log(LogTracker(TailLog(workflowID: "a", follow: true))))
        #expect(rig.connect().written.last == "call 1 log 0")
        func piece(_ offset: Int64, _ text: String, _ complete: Bool = false) -> ServerBody {
            .logData(
                LogData(taskID: "t", offset: offset, data: Array(text.utf8), endOffset: 9, isComplete: complete))
        }
        #expect(rig.receive(1, piece(0, "abc")).told == ["1 log 0+3"])
        _ = rig.say(.disconnected("cut"))
        #expect(rig.connect().written.last == "call 1 log 3")
        #expect(rig.receive(1, piece(1, "bc")).told == [])
        #expect(rig.receive(1, piece(1, "bcd")).told == ["1 log 3+1"])
        #expect(rig.receive(1, .status(nil)).told == ["1 finished"])
    }
}
