package import Glibc

/// The file that everybody appends to. Any thread, any process.
package struct RecordBook: Sendable {
    package let path: String

    package init(path: String) { self.path = path }

    package func note(_ word: RecordLine.Word, _ fields: [String: String]) {
        var fields = fields
        if fields["at"] == nil { fields["at"] = String(Self.now) }
        let text = RecordLine(word, fields).text + "\n"
        let file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard file >= 0 else { return }
        defer { close(file) }
        _ = text.withCString { write(file, $0, strlen($0)) }
    }

    package func note(_ fault: RecordFault, _ victim: String) {
        note(.fault, ["what": fault.rawValue, "victim": victim])
    }

    package func healed(_ fault: RecordFault, _ victim: String) {
        note(.healed, ["what": fault.rawValue, "victim": victim])
    }

    /// Notes that a process is about to be killed.
    package func noteKill(of pid: pid_t) {
        note(
            .fault,
            ["what": RecordFault.processKilled.rawValue, "pid": "\(pid)", "start": Processes.startTime(of: pid) ?? ""])
    }

    package var text: String { ProcessGuard.read(path) }

    /// Nanoseconds of the clock that counts since boot.
    package static var now: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_BOOTTIME, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}

extension RecordBook {
    /// Functions for a task in sh: `begun` writes its begin down, with who was beside it; `ended OUTCOME [VALUE]` its end.
    /// `workflow` names the workflow in the record, `given` may hold the argument; the rest rhythmd tells it.
    package var shellFunctions: String {
        """
        clock() {
            read -r uptime idle </proc/uptime
            at=${uptime%.*}${uptime#*.}0000000
        }
        started() {
            start=
            read -r line 2>/dev/null </proc/"$1"/stat || return 0
            set -- ${line##*) }
            case $1 in Z | X) ;; *) start=${20} ;; esac
        }
        begun() {
            clock
            started $$
            run=$$.$start
            who="workflow=$workflow step=$RHYTHM_STEP id=$RHYTHM_TASK_ID run=$run pid=$$ start=$start"
            echo "begin $who at=$at attempt=$RHYTHM_ATTEMPT given=$given" >>\(path)
            for other in $(grep "^begin workflow=$workflow " \(path) | sed "/ run=$run /,\\$d; s/.* run=//; s/ .*//")
            do
                grep -q "^end .* run=$other " \(path) && continue
                mine=$start
                started "${other%.*}"
                [ "$start" = "${other#*.}" ] && echo "beside $who at=$at other=$other" >>\(path)
                start=$mine
            done
        }
        ended() {
            clock
            echo "end $who at=$at outcome=$1 gave=$2" >>\(path)
        }

        """
    }
}

extension Processes {
    /// When a process began, in the kernel's own unit; nil for one that has ended, reaped or not.
    package static func startTime(of pid: pid_t) -> String? {
        let status = ProcessGuard.read("/proc/\(pid)/stat")
        guard let end = status.lastIndex(of: ")") else { return nil }
        let fields = status[status.index(after: end)...].split(separator: " ")
        guard fields.count > 19, fields[0] != "Z", fields[0] != "X" else { return nil }
        return String(fields[19])
    }
}
