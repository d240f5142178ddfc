internal import CyxCore

@main
struct CyxPeerProgram {
    static func main() {
        print(PeerConfiguration.spec.helpText)
    }
}
