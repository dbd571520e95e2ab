import Listening
import Testing

@Test(
    "One event loop for every two cores, at least one", arguments: [(1, 1), (2, 1), (3, 2), (4, 2), (8, 4), (64, 32)])
func eventLoops(cores: Int, loops: Int) {
    #expect(eventLoopCount(cores: cores) == loops)
}
