declare module 'virtual:e2ee-worker' {
  const source: string;
  export default source;
}
