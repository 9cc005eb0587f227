import RhythmTesting
import Testing

@Suite(.timeLimit(.minutes(5))) struct SQLiteContractTests {
    @Test(arguments: StoreContract.allCases) func contract(_ check: StoreContract) throws {
        try check.run(on: try SQLiteFixture())
    }

    /// As if every filter meant many workflows, or some did.
    @Test(arguments: [StoreContract.lists, .listsByUpdate], [0, 40])
    func listsOfMany(_ check: StoreContract, _ fewMatches: Int) throws {
        try check.run(on: try SQLiteFixture(fewMatches: fewMatches))
    }
}
