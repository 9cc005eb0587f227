import Testing
@testable import RhythmTLS

