// built from client/src and client/demo, sources sha256:2899897fdb6202980d7a9e1f06e997f3e04521744af74fdeb7b7e8c9985078d5
export type Unsubscribe = () => void;
export declare class Listeners<Arguments extends unknown[]> {
    #private;
    /** The handler's return value is ignored. Answers with a function that takes it off again. */
    add(handler: (...args: Arguments) => void): Unsubscribe;
    emit(...args: Arguments): void;
}
