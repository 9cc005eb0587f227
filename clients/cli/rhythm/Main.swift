import RhythmCommands

@main
struct Main {
    static func main() async { await RhythmCommand.main() }
}
