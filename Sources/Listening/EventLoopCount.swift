/// How many event loops serve connections on a machine with this many cores: one for every two cores, and at least one.
///
/// The other cores are for sending and for the thread that writes to the store. More loops wake each other and that
/// thread more often, and each loop has less work when it is woken. With two loops on two cores, a message takes 10 %
/// more CPU, and a connection with its TLS handshake 20 % more (PERFORMANCE.md, "What was tried").
public func eventLoopCount(cores: Int) -> Int { max(1, (cores + 1) / 2) }
