import RhythmCommands
import Testing

@Suite struct CLIHelpTests {
    @Test func theProgramExplainsItself() throws {
        try expectSnapshot(RhythmCommand.help(), "help/rhythm")
    }

    @Test(arguments: RhythmCommand.commandNames) func everyCommandExplainsItself(_ name: String) throws {
        let help = RhythmCommand.help(of: name)
        try expectSnapshot(help, "help/\(name.replacing(" ", with: "-"))")
        #expect(help.contains("EXAMPLE:"))
    }
}
