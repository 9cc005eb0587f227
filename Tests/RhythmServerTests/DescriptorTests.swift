import Glibc
import RhythmCore
import RhythmServer
import RhythmWire
import Testing

extension ServerTests {
    /// A process that has no descriptor left.
    @Suite struct DescriptorTests {
        @Test func runningOutOfDescriptorsIsSurvived() async throws {
            try await Rig.with { rig in
                let settled = try await rig.peer()
                _ = try await settled.call(.listWorkflows(ListWorkflows(query: ListQuery())))
                var before = rlimit()
                getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &before)
                let highest = Rig.highestDescriptor
                setLimit(rlim_t(highest + 20), before)
                var fillers: [Int32] = []
                while case let filler = open("/dev/null", O_RDONLY | O_CLOEXEC), filler >= 0 { fillers.append(filler) }
                defer {
                    for filler in fillers { close(filler) }
                    setLimit(before.rlim_cur, before)
                }
                close(fillers.removeLast())
                let busy = Self.cpuTime
                var turnedAway = 0
                try await eventually("three peers are turned away") {
                    // What earlier tests have left closes in its own time and makes room.
                    while case let filler = open("/dev/null", O_RDONLY | O_CLOEXEC), filler >= 0 {
                        fillers.append(filler)
                    }
                    close(fillers.removeLast())
                    // The client's socket takes what is left; nothing remains for the server's end of it.
                    let peer = try RawPeer(rig.tcp)
                    do { _ = try await peer.next(within: .seconds(10)) } catch RawPeer.Trouble.closed {
                        turnedAway += 1
                    }
                    return turnedAway == 3
                }
                #expect(Self.cpuTime - busy < 1, "it spins")
                _ = try await settled.info()
                for _ in 0..<10 { close(fillers.removeLast()) }
                _ = try await rig.peer().info()
            }
        }

        private func setLimit(_ limit: rlim_t, _ before: rlimit) {
            var new = before
            new.rlim_cur = limit
            setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &new)
        }

        /// Seconds that this process has computed.
        private static var cpuTime: Double {
            var time = timespec()
            clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
            return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
        }
    }
}
