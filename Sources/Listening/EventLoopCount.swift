/// How many event loops serve connections on a machine with so many cores: one for every two, at least one.
///
/// The other cores are for the thread that writes to the store and for sending. More loops wake each other and that thread more
/// often, and each finds less to do when it wakes: with two loops on two cores a message takes a tenth more CPU, a connection with
/// its TLS handshake a fifth (PERFORMANCE.md, "What was tried").
public func eventLoopCount(cores: Int) -> Int { max(1, (cores + 1) / 2) }
