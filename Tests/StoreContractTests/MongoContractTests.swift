import RhythmTesting
import Testing

@Suite(.timeLimit(.minutes(5))) struct MongoContractTests {
    @Test(arguments: StoreContract.allCases) func contract(_ check: StoreContract) throws {
        try check.run(on: try MongoFixture())
    }
}
