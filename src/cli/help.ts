export const help = async (): Promise<number> => { console.log('vmpair'); return 0; };
