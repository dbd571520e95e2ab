import Testing

@testable import MessageComposition
